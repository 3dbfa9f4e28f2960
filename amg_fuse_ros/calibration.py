"""Calibrate a rig from its recordings: read pairs, estimate, draw what to look at."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from amg_fuse_ros import bags
from amg_fuse_ros.bags.folders import read_rgb, read_thermal
from amg_fuse_ros.bags.pairs import PairReader
from amg_fuse_ros.imaging.arrays import ByteImage
from amg_fuse_ros.imaging.board import estimate_from_board
from amg_fuse_ros.imaging.estimate import Estimate, estimate_homography
from amg_fuse_ros.imaging.registration import CalibrationError, Registrar
from amg_fuse_ros.imaging.thermal import GainSettings, ThermalImage, to_unit_range

Pair = tuple[ByteImage, ByteImage]
"""RGB H W 3, and thermal H W after its gain, both uint8."""
Item = TypeVar("Item")
Progress = Callable[[int, int], None]

SHOWN = 3
"""Pairs in the overlay."""
MAX_DECODED = 400
"""Pairs of a bag that are looked at to choose from."""


def pairs_of_folders(
    thermal: Path, rgb: Path, count: int, progress: Progress | None = None
) -> list[Pair]:
    """Read up to ``count`` pairs of two folders, evenly spread.

    Raises:
        FileNotFoundError: If a folder is not there.
        ValueError: If no file has a partner, or one cannot be read.
    """
    files = bags.pair_files(thermal, rgb).pairs
    if not files:
        raise ValueError(f"no file in {thermal} has the name of one in {rgb}")
    chosen = _spread(files, count)
    read = []
    for number, pair in enumerate(chosen, 1):
        read.append((read_rgb(pair[1]), _as_bytes(read_thermal(pair[0]))))
        if progress:
            progress(number, len(chosen))
    return read


def pairs_of_bag(
    bag: Path,
    count: int,
    *,
    thermal_topic: str = "",
    rgb_topic: str = "",
    progress: Progress | None = None,
) -> list[Pair]:
    """Read up to ``count`` pairs of a bag, evenly spread over its first ``MAX_DECODED``.

    Raises:
        BagError: If the bag or its topics cannot be read.
        ValueError: If it holds no pair.
    """
    with bags.Recording(bag) as recording:
        topics = bags.guess_topics(recording, thermal=thermal_topic or None, rgb=rgb_topic or None)
        found: list[Pair] = []
        stride = 1
        for number, pair in enumerate(PairReader(recording, topics)):
            if number >= MAX_DECODED:
                break
            if number % stride:
                continue
            found.append((pair.rgb, _as_bytes(pair.thermal)))
            if len(found) >= 2 * count:  # keep every other one: evenly spread, whatever the length
                found, stride = found[::2], stride * 2
            if progress:
                progress(number, MAX_DECODED)
    if not found:
        raise ValueError(f"{bag}: no pair of images on {topics.thermal} and {topics.rgb}")
    return list(_spread(found, count))


def calibrate_rig(pairs: Sequence[Pair], board: str = "") -> tuple[Estimate, bytes]:
    """Estimate the calibration and draw the overlay.

    Args:
        pairs: Of one rig.
        board: Inner corners of a chessboard as ``9x6``, circles as ``circles:9x6`` or
            ``acircles:4x11`` (OpenCV's asymmetric grid); empty matches edges.

    Returns:
        The estimate, and a PNG: for up to three pairs thermal in red over RGB in blue and green,
        on the left as they come and on the right registered.

    Raises:
        CalibrationError: If too little agrees, or ``board`` is no size.
    """
    if board:
        pattern, _, size = board.rpartition(":")
        columns, _, rows = size.partition("x")
        if not (columns.isdigit() and rows.isdigit()):
            raise CalibrationError(
                f"board: expected corners as 9x6, circles:9x6 or acircles:4x11, found {board!r}"
            )
        estimate = estimate_from_board(pairs, (int(columns), int(rows)), pattern or "chessboard")
    else:
        estimate = estimate_homography(pairs)
    rows_of_picture = list(_overlays(_spread(pairs, SHOWN), Registrar(estimate.calibration)))
    _, png = cv2.imencode(".png", np.vstack(rows_of_picture)[..., ::-1])
    return estimate, png.tobytes()


def _overlays(pairs: Sequence[Pair], registrar: Registrar) -> Iterator[ByteImage]:
    for rgb, thermal in pairs:
        size = rgb.shape[1], rgb.shape[0]
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        before = cv2.resize(thermal, size, interpolation=cv2.INTER_LINEAR)
        after, _ = registrar(thermal.astype(np.float32), size)
        shown = (before, np.rint(after).astype(np.uint8))
        yield np.hstack([np.dstack([warm, grey, grey]) for warm in shown]).astype(np.uint8)


def _as_bytes(thermal: ThermalImage) -> ByteImage:
    unit = to_unit_range(thermal, GainSettings(gain="equalize"))
    return np.rint(unit * 255).astype(np.uint8)


def _spread(items: Sequence[Item], count: int) -> Sequence[Item]:
    if len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]
