"""Find and replace the dead pixels of a thermal camera while it runs."""

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage

PERIOD = 10
"""Frames from one look at all pixels to the next."""
LOOKS = 6
"""So many looks in a row must find a pixel dead: things in the scene have moved on by then."""
FAR = 30.0
"""Distance from the neighbours' median, in multiples of the noise, that no scene makes."""
ALONE = 0.2
"""Optics spread a point of light over its neighbours: they rise by more than this part of it."""
LARGEST_SHARE = 0.001
"""More pixels than this part of the image are no dead pixels but a scene not understood."""

Image = ByteImage | NDArray[np.uint16]


class DeadPixels:
    """Keeps count of the pixels that stand alone, look after look, and replaces them."""

    def __init__(self) -> None:
        self.reset()

    @property
    def count(self) -> int:
        """How many pixels are being replaced."""
        return len(self._rows)

    def reset(self) -> None:
        """Forget all of them."""
        self._shape: tuple[int, ...] = ()
        self._seen: dict[int, int] = {}
        self._rows = self._columns = np.empty(0, np.intp)
        self._frames = 0

    def repair(self, image: Image) -> Image:
        """Replace what is known to be dead by the median of its neighbours.

        Args:
            image: The next frame, H W, uint8 or uint16; not modified. Another size than the
                frame before begins anew.

        Returns:
            A repaired copy, or the image itself where nothing is dead.
        """
        if image.shape != self._shape:
            self.reset()
            self._shape = image.shape
        if self._frames % PERIOD == 0 and min(image.shape) >= 3:
            self._look(image)
        self._frames += 1
        if not self.count:
            return image
        repaired = image.copy()
        around = _around(image, self._rows, self._columns)
        repaired[self._rows, self._columns] = np.median(around, axis=0)
        return repaired

    def _look(self, image: Image) -> None:
        median = cv2.medianBlur(image, 3)
        distance = cv2.absdiff(image, median)
        noise = max(1.0, float(distance[::2, ::2].mean()))
        rows, columns = np.nonzero(distance > FAR * noise)
        found: set[int] = set()
        if 0 < len(rows) <= LARGEST_SHARE * image.size:
            neighbours = _around(image, rows, columns)
            middle = np.median(neighbours, axis=0)
            own = np.abs(image[rows, columns] - middle)
            rise = np.sort(np.abs(neighbours - middle), axis=0)[-2]
            lonely = rise < ALONE * own
            found = set((rows[lonely] * image.shape[1] + columns[lonely]).tolist())
        self._seen = {pixel: min(self._seen.get(pixel, 0) + 1, LOOKS) for pixel in found}
        known = np.array([p for p, n in self._seen.items() if n >= LOOKS], np.intp)
        self._rows, self._columns = np.divmod(known, image.shape[1])


def _around(image: Image, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """The eight neighbours of pixels, 8 x pixels; beyond the border the image is mirrored."""
    height, width = image.shape
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    values = [image[_mirror(rows + y, height), _mirror(columns + x, width)] for y, x in steps]
    return np.stack(values).astype(np.float32)


def _mirror(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    mirrored: NDArray[np.intp] = size - 1 - np.abs(size - 1 - np.abs(index))
    return mirrored
