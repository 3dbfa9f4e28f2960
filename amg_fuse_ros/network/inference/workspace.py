"""Memory that is reused from frame to frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.network.inference.layout import Array, planes

LEVELS = 4


class Workspace:
    """Buffers for frames of one size, made when they are first asked for.

    Args:
        height: Of level 0, a multiple of 8.
        width: Of level 0, a multiple of 8.
        dtype: Of the features.
    """

    def __init__(self, height: int, width: int, dtype: type) -> None:
        self.height, self.width, self.dtype = height, width, dtype
        self._planes: dict[tuple[str, int], Array] = {}
        self._flat: dict[tuple[str, object], NDArray[Any]] = {}

    def size(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        return self.height >> level, self.width >> level

    def planes(self, name: str, level: int, channels: int) -> Array:
        """The first ``channels`` of the planes of that name; what they held is kept or lost."""
        found = self._planes.get((name, level))
        if found is None or len(found) < channels:
            found = planes(channels, *self.size(level), self.dtype)
            self._planes[name, level] = found
        return found[:channels]

    def flat(self, name: str, count: int, dtype: type | None = None, key: object = None) -> Any:
        """``count`` elements; zeros before the first use with that ``name`` and ``key``."""
        found = self._flat.get((name, key))
        if found is None or len(found) < count:
            found = np.zeros(count, dtype or self.dtype)
            self._flat[name, key] = found
        return found[:count]
