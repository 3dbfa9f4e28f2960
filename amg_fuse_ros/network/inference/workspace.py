"""Memory that is reused from frame to frame, and within a frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.network.inference.layout import OVERRUN, Array, clear_border, row_stride

LEVELS = 4
_ALIGNED = 64
_UNKNOWN = object()
"""What another size of frames left in scratch memory."""


class Workspace:
    """A stack of buffers for frames of one size at a time.

    What a step takes within ``with space.scope():`` is free again behind it, and the next step
    gets the same memory: so only what is needed at the same time lies side by side. Few frames
    differ in what they take; those that take more than ``capacity`` get it from the system.

    Args:
        height: Of level 0, a multiple of 8.
        width: Of level 0, a multiple of 8.
        dtype: Of the features.
        capacity: Bytes set aside. Those that are never taken cost addresses, but no memory.
    """

    def __init__(self, height: int, width: int, dtype: type, capacity: int = 0) -> None:
        self.dtype = dtype
        self.taken = 0
        """Bytes that are taken at the moment."""
        self._stack: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._scratch: dict[tuple[str, int], tuple[object, NDArray[Any]]] = {}
        self.resize(height, width, capacity)

    def resize(self, height: int, width: int, capacity: int) -> None:
        """Go on with frames of another size, in the memory that is there, if it is enough.

        So frames of two cameras can take turns. Nothing may be taken at the moment.
        """
        self.height, self.width = height, width
        if capacity > self.capacity:
            self._stack = np.empty(0, np.uint8)  # let the old one go before
            stack: NDArray[np.uint8] = np.empty(capacity + _ALIGNED, np.uint8)
            self._stack = stack[-stack.ctypes.data % _ALIGNED :][:capacity]
        self.most_taken = 0
        """Bytes that were taken at any time since the size is this one."""
        self._scratch = {name: (_UNKNOWN, held) for name, (_, held) in self._scratch.items()}

    @property
    def capacity(self) -> int:
        """Bytes that are set aside."""
        return len(self._stack)

    def size(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        return self.height >> level, self.width >> level

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Free, behind it, what was taken within."""
        before = self.taken
        try:
            yield
        finally:
            self.taken = before

    def take(self, count: int, dtype: type | None = None) -> NDArray[Any]:
        """``count`` elements of any value."""
        kind = np.dtype(dtype or self.dtype)
        first, size = self.taken, count * kind.itemsize
        self.taken += -(-size // _ALIGNED) * _ALIGNED
        self.most_taken = max(self.most_taken, self.taken)
        if first + size > self.capacity:
            return np.empty(count, kind)
        return self._stack[first : first + size].view(kind)

    def planes(self, level: int, channels: int) -> Array:
        """Planes of any content within a border of zeros."""
        height, width = self.size(level)
        stride = row_stride(width)
        flat = self.take(channels * (height + 2) * stride + OVERRUN)
        flat[-OVERRUN:] = 0
        planes: Array = flat[:-OVERRUN].reshape(channels, height + 2, stride)
        clear_border(planes, height, width)
        return planes

    def scratch(
        self, name: str, thread: int, layout: object, count: int, dtype: type | None = None
    ) -> Any:
        """A thread's own ``count`` elements, which keep what they held.

        They are zeros at the first use, and whenever ``layout`` is not that of the use before.
        """
        before, found = self._scratch.get((name, thread), (None, None))
        if found is None or len(found) < count:
            found = np.zeros(count, dtype or self.dtype)
        elif before != layout:
            found[:count] = 0
        self._scratch[name, thread] = layout, found
        return found[:count]
