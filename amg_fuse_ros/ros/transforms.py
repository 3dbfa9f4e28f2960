"""How frames stand to each other, from the transforms on /tf and /tf_static.

tf2_ros does this, too, where it is installed. Only the newest transform of each link is wanted
here, which is so little that the node does the same on a desk without it.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class TransformTree:
    """The newest transform of each link; for one thread at a time."""

    def __init__(self) -> None:
        self._links: dict[str, tuple[str, Any]] = {}
        """Child to its parent, and the transform that takes places from the one to the other."""

    def add(self, transforms: Iterable[Any]) -> None:
        """Keep the transforms of a message.

        Args:
            transforms: ``geometry_msgs/TransformStamped``: each is the child's frame seen from its
                parent, the one of the header.
        """
        for stamped in transforms:
            parent, child = _plain(stamped.header.frame_id), _plain(stamped.child_frame_id)
            if parent != child:
                self._links[child] = parent, stamped.transform

    def between(self, source: str, target: str) -> Matrix:
        """4 x 4: places in the source's frame to the target's, in metres; not finite if too far.

        Raises:
            LookupError: If no chain of transforms connects them, or one of them is no transform;
                the message says how far they reach.
        """
        source, target = _plain(source), _plain(target)
        (up, problem), (down, other_problem) = self._upwards(source), self._upwards(target)
        for frame, to_ancestor in up.items():
            if frame in down:
                return _back(down[frame]) @ to_ancestor
        if problem or other_problem:
            raise LookupError(problem or other_problem)
        reach = f"{self._reach(source, up)}, {self._reach(target, down)}"
        raise LookupError(f"no transforms connect {source!r} and {target!r}: {reach}")

    def _upwards(self, frame: str) -> tuple[dict[str, Matrix], str]:
        """The frame and those above it, each with the matrix that takes places there.

        They end at the root or at a link that is no transform; then the text tells which. That one
        may not be needed: a vehicle's place in its map says nothing of its cameras.
        """
        to_ancestor: Matrix = np.eye(4)
        chain = {frame: to_ancestor}
        while frame in self._links:
            child, (frame, transform) = frame, self._links[frame]
            if frame in chain:  # links in a circle: those who publish them contradict each other
                break
            to_parent = _matrix(transform)
            if to_parent is None:
                return chain, (
                    f"the transform between {frame!r} and {child!r} has no rotation, or holds "
                    "values that are no numbers"
                )
            to_ancestor = to_parent @ to_ancestor
            chain[frame] = to_ancestor
        return chain, ""

    def _reach(self, frame: str, chain: dict[str, Matrix]) -> str:
        if len(chain) > 1:
            return f"{frame!r} hangs below {list(chain)[-1]!r}"
        known = any(parent == frame for parent, _ in self._links.values())
        return f"{frame!r} hangs below nothing" if known else f"of {frame!r} there is none"


def _plain(frame: str) -> str:
    return str(frame).strip("/")  # of old drivers: in tf2 no slash is in front


def _back(rigid: Matrix) -> Matrix:
    """The inverse of a rotation and a move, which exists whatever their numbers are."""
    inverse: Matrix = np.eye(4)
    inverse[:3, :3] = rigid[:3, :3].T
    inverse[:3, 3] = -rigid[:3, :3].T @ rigid[:3, 3]
    return inverse


def _matrix(transform: Any) -> Matrix | None:
    """Of a ``geometry_msgs/Transform``; its quaternion may have any length within reason."""
    t, q = transform.translation, transform.rotation
    numbers = np.array([t.x, t.y, t.z, q.x, q.y, q.z, q.w], np.float64)
    if not np.isfinite(numbers).all() or not 1e-6 < np.abs(numbers[3:]).max() < 1e6:
        return None
    length = float(np.linalg.norm(numbers[3:]))
    x, y, z, w = numbers[3:] / length
    matrix: Matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = numbers[:3]
    return matrix
