"""Bags out of two folders of images."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from amg_fuse_ros.bags.recording import Header
from amg_fuse_ros.bags.writing import BagWriter, CameraModel, camera_info_message
from amg_fuse_ros.image_encoding import Array, ImageEncodingError
from amg_fuse_ros.image_file_header import check_image_file

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm"})

MAX_FILE_BYTES = 1 << 30

GREY_TOLERANCE = 2
"""Channels of a grey image may differ by this much after JPEG."""


class FilePairs(NamedTuple):
    """Image files of two folders, by name without extension, in natural order."""

    pairs: list[tuple[Path, Path]]
    """(thermal, visible)."""
    thermal_only: list[Path]
    rgb_only: list[Path]


class BagSummary(NamedTuple):
    """What `make_bag` wrote."""

    pairs: int
    thermal_only: list[Path]
    """Thermal images without a partner, left out."""
    rgb_only: list[Path]


def pair_files(thermal: Path | str, rgb: Path | str) -> FilePairs:
    """Pairs image files by their names; the extensions may differ.

    Args:
        thermal: A folder of images, or one image.
        rgb: The same of the visible camera. Two single images pair whatever their names.

    Returns:
        The pairs and what has no partner, in natural order (2 before 10).

    Raises:
        ValueError: If a folder is missing or has two images of one name.
    """
    thermal, rgb = Path(thermal), Path(rgb)
    if thermal.is_file() and rgb.is_file():
        return FilePairs([(thermal, rgb)], [], [])
    thermal_files, rgb_files = _images(thermal), _images(rgb)
    both = sorted(thermal_files.keys() & rgb_files.keys(), key=natural_key)
    return FilePairs(
        [(thermal_files[stem], rgb_files[stem]) for stem in both],
        _without(thermal_files, both),
        _without(rgb_files, both),
    )


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts names with numbers the way people do: ``frame2`` before ``frame10``.

    Args:
        name: A file name.

    Returns:
        A key for `sorted`.
    """
    parts = re.split(r"([0-9]+)", name)
    return [
        (0, int(part), part) if number % 2 else (1, 0, part.lower())
        for number, part in enumerate(parts)
    ]


def read_thermal(path: Path) -> Array:
    """Reads a thermal image file and keeps its bits.

    Args:
        path: A one-channel image of 8 or 16 bits; colour files are taken if they are grey.

    Returns:
        HxW, uint8 or uint16.

    Raises:
        ValueError: If the file is no such image.
    """
    image = _read(path, cv2.IMREAD_UNCHANGED)  # leaves EXIF's orientation alone, as read_rgb does
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{path}: a thermal image should have 8 or 16 bits, not {image.dtype}")
    if image.ndim == 3:
        colour = image[..., :3].astype(np.int32)
        if np.ptp(colour, axis=2).max() > GREY_TOLERANCE:
            raise ValueError(
                f"{path} shows the temperatures in false colours; export it in grey (white hot)"
            )
        image = np.ascontiguousarray(image[..., 1])
    return image


def read_rgb(path: Path) -> Array:
    """Reads an image file in colour.

    Args:
        path: Any image; grey becomes three equal channels, 16 bits become 8.

    Returns:
        HxWx3 uint8 in the order R, G, B.

    Raises:
        ValueError: If the file is no image.
    """
    return np.asarray(
        cv2.cvtColor(
            _read(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB
        )
    )


def make_bag(
    thermal_dir: Path | str,
    rgb_dir: Path | str,
    fps: float,
    out: Path | str,
    *,
    start_ns: int | None = None,
    thermal_topic: str = "/thermal/image_raw",
    rgb_topic: str = "/rgb/image_raw",
    thermal_frame_id: str = "thermal_camera",
    rgb_frame_id: str = "rgb_camera",
    camera_info: CameraModel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BagSummary:
    """Makes a bag of image pairs as two synchronised cameras would have recorded it.

    Args:
        thermal_dir: Folder of thermal images, 8 or 16 bits (written as mono8 or mono16).
        rgb_dir: Folder of visible images with the same names (written as rgb8).
        fps: Pairs per second.
        out: The bag folder to create.
        start_ns: Stamp of the first pair, nanoseconds since the epoch; now when not given.
        thermal_topic: Topic of the thermal images.
        rgb_topic: Topic of the visible images.
        thermal_frame_id: Frame in the headers of the thermal images.
        rgb_frame_id: Frame in the headers of the visible images.
        camera_info: If given, written beside each visible image as ``camera_info``.
        progress: Called with the pairs written and their total.

    Returns:
        How many pairs were written and which files had no partner.

    Raises:
        ValueError: For no pairs, unreadable images or a rate that is not positive.
        BagError: If the bag cannot be written.
    """
    if not 0 < fps < 1e9:
        raise ValueError(f"fps should be positive, not {fps}")
    files = pair_files(thermal_dir, rgb_dir)
    if not files.pairs:
        raise ValueError(
            f"no image in {thermal_dir} has a partner of the same name in {rgb_dir} "
            f"({len(files.thermal_only)} thermal and {len(files.rgb_only)} visible images)"
        )
    first_ns = time.time_ns() if start_ns is None else start_ns
    info_topic = rgb_topic.rpartition("/")[0] + "/camera_info"
    with BagWriter(out) as writer:
        for number, (thermal_file, rgb_file) in enumerate(files.pairs):
            stamp_ns = first_ns + round(number * 1e9 / fps)
            thermal, rgb = read_thermal(thermal_file), read_rgb(rgb_file)
            encoding = "mono8" if thermal.dtype == np.uint8 else "mono16"
            header = Header(stamp_ns, thermal_frame_id)
            writer.write_image(thermal_topic, thermal, encoding, header, stamp_ns)
            header = Header(stamp_ns, rgb_frame_id)
            writer.write_image(rgb_topic, rgb, "rgb8", header, stamp_ns)
            if camera_info is not None:
                height, width = rgb.shape[:2]
                info = camera_info_message(camera_info, width, height, header)
                writer.write_message(info_topic, info, stamp_ns)
            if progress is not None:
                progress(number + 1, len(files.pairs))
    return BagSummary(len(files.pairs), files.thermal_only, files.rgb_only)


def _images(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "there is nothing of that name"
        raise ValueError(f"{folder} is not a folder of images: {why}")
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in images:
            raise ValueError(
                f"{folder} has two images named {path.stem!r}: {images[path.stem].name} and "
                f"{path.name}; which one belongs to the pair is not clear"
            )
        images[path.stem] = path
    return images


def _without(files: dict[str, Path], taken: list[str]) -> list[Path]:
    rest = files.keys() - set(taken)
    return [files[stem] for stem in sorted(rest, key=natural_key)]


def _read(path: Path, mode: int) -> Array:
    # Read by Python, decoded by OpenCV: OpenCV's own reading fails silently on some paths.
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ValueError(f"{path} has {size} bytes, too many for an image")
        content = path.read_bytes()
        if content:
            check_image_file(content)
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode) if content else None
    except ImageEncodingError as error:
        raise ValueError(f"{path} is not an image that is read here: {error}") from error
    except (OSError, cv2.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if image is None:
        raise ValueError(f"{path} is not an image OpenCV can read")
    return np.asarray(image)
