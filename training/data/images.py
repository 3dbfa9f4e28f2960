"""Read the images of a pair, and keep as many in memory as may be kept."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.thermal import to_unit_range
from training.data.adapters import PairFiles

logger = logging.getLogger(__name__)

ByteImage = NDArray[np.uint8]

THERMAL_FLAGS = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_TAIL = 4096  # some cameras write a few bytes behind the image


@dataclass(frozen=True)
class PairImages:
    """The decoded images of one pair, all of one size.

    visible, degraded_visible, pseudo: H W 3 RGB; thermal, degraded_thermal: H W; uint8.
    """

    visible: ByteImage
    thermal: ByteImage
    degraded_visible: ByteImage | None = None
    degraded_thermal: ByteImage | None = None
    pseudo: ByteImage | None = None

    @property
    def nbytes(self) -> int:
        """Memory taken, in bytes."""
        optional = (self.degraded_visible, self.degraded_thermal, self.pseudo)
        return sum(i.nbytes for i in (self.visible, self.thermal, *optional) if i is not None)


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        ValueError: If it cannot be read, naming it.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error


def decode(data: bytes, path: Path, flags: int) -> NDArray:
    """Decode an image as ``cv2.imread`` would.

    Args:
        data: The content of the file.
        path: Where it came from, for the message.
        flags: OpenCV's ``IMREAD_`` flags.

    Raises:
        ValueError: If it is no image or only the beginning of one, naming the file.
    """
    # libjpeg fills what is missing with grey and says nothing; the end marker cannot occur earlier
    # because the coded data escape it.
    if data.startswith(_JPEG_START) and _JPEG_END not in data[-_TAIL:]:
        raise ValueError(f"{path}: the image ends early; copy the file again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{path}: cannot be read as an image")
    return image


def read_visible(path: Path) -> ByteImage:
    """Read an image as H W 3 RGB, 8-bit; ValueError as in :func:`decode`."""
    image = decode(read_bytes(path), path, cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_thermal(path: Path) -> ByteImage:
    """Read an image as H W, 8-bit; 16-bit counts are stretched as they are on the vehicle.

    Raises:
        ValueError: As in :func:`decode`, or if the image has neither 8 nor 16 bits.
    """
    image = decode(read_bytes(path), path, THERMAL_FLAGS)
    if image.dtype == np.uint16:
        return np.rint(to_unit_range(image) * np.float32(255)).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError(f"{path}: expected 8 or 16 bits a pixel, found {image.dtype}")
    return image


def read_images(files: PairFiles) -> PairImages:
    """Read all images of a pair.

    Raises:
        ValueError: If a file cannot be read or the sizes differ, naming it.
    """
    images = PairImages(
        read_visible(files.visible),
        read_thermal(files.thermal),
        read_visible(files.degraded_visible) if files.degraded_visible else None,
        read_thermal(files.degraded_thermal) if files.degraded_thermal else None,
        read_visible(files.pseudo) if files.pseudo else None,
    )
    shapes = {role: image.shape[:2] for role, image in vars(images).items() if image is not None}
    check_sizes(files, shapes)
    return images


def check_sizes(files: PairFiles, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise a ValueError that names the pair if its images differ in (height, width)."""
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{role} {h} x {w}" for role, (h, w) in shapes.items())
        raise ValueError(f"{files.name}: expected images of one size, found {found} (H x W)")


def read_pair(files: PairFiles) -> tuple[ByteImage, ByteImage]:
    """Read the clean pair: visible H W 3 RGB and thermal H W, 8-bit.

    Raises:
        ValueError: If a file cannot be read or the sizes differ, naming it.
    """
    visible, thermal = read_visible(files.visible), read_thermal(files.thermal)
    check_sizes(files, {"visible": visible.shape[:2], "thermal": thermal.shape[:2]})
    return visible, thermal


class ImageStore:
    """Pairs by number, decoded: those that fit are kept in memory, the others read when asked for.

    Memory is filled once, here, so that processes forked afterwards share it; small data sets
    stay in memory whole and large ones take no more than the limit.

    Args:
        pairs: The pairs.
        limit: Bytes of decoded images to keep.
        order: Numbers of pairs, those first that are worth keeping most.
    """

    def __init__(self, pairs: Sequence[PairFiles], limit: int, order: Iterable[int]) -> None:
        self._pairs = pairs
        self._kept: dict[int, PairImages] = {}
        self.kept_bytes = 0
        for number in order if limit > 0 else ():
            try:
                images = read_images(pairs[number])
            except ValueError:
                continue  # whoever draws it is told
            if self.kept_bytes + images.nbytes > limit:
                break
            self._kept[number] = images
            self.kept_bytes += images.nbytes

    @property
    def kept(self) -> int:
        """How many pairs are in memory."""
        return len(self._kept)

    def __getitem__(self, number: int) -> PairImages:
        """The images of pair ``number``; ValueError as in :func:`read_images`."""
        images = self._kept.get(number)
        return read_images(self._pairs[number]) if images is None else images
