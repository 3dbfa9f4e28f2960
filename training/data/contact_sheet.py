"""A sheet of degraded crops to look at: ``python -m training.data.contact_sheet --data DIR``.

The upper part shows every degradation alone, milder in the first row of pairs and stronger in
the last; the lower part shows what :func:`training.data.degradations.degrade` draws. ``--beside``
adds crops of images that are already degraded, to judge ours by.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from training.data import degradations as d
from training.data.degradations.depth import FloatImage
from training.data.pairs import PairFiles, find_pairs, read_pair

LABEL_HEIGHT = 16

Pair = tuple[FloatImage, FloatImage]
Tile = tuple[str, FloatImage]


def read_floats(files: PairFiles) -> Pair:
    """Read a pair as float32 in [0, 1]: visible H x W x 3 RGB and thermal H x W."""
    visible, thermal = read_pair(files)
    return np.float32(visible) / np.float32(255), np.float32(thermal) / np.float32(255)


def crop_pair(pair: Pair, side: int, rng: np.random.Generator) -> Pair:
    """Cut the same random square out of both images; smaller images come whole."""
    visible, thermal = pair
    top, left = (int(rng.integers(0, max(1, n - side + 1))) for n in thermal.shape)
    window = (slice(top, top + side), slice(left, left + side))
    return np.ascontiguousarray(visible[window]), np.ascontiguousarray(thermal[window])


def degradations_alone(
    pair: Pair, severity: float, rng: np.random.Generator
) -> tuple[list[Tile], list[Tile]]:
    """Every degradation of a pair, alone: tiles of the visible and of the thermal image."""
    visible, thermal = pair
    depth = d.pseudo_depth(visible, rng)
    of_visible: dict[str, FloatImage] = {
        "visible": visible,
        "rain": d.rain(visible, severity, rng, depth),
        "snow": d.snow(visible, severity, rng, depth),
        "haze": d.haze(visible, severity, rng, depth),
        "low light": d.low_light(visible, severity, rng),
        "noise": d.sensor_noise(visible, severity, rng),
        "pseudo-depth": depth,
    }
    alone: dict[str, Callable[..., FloatImage]] = {
        "contrast": d.thermal_contrast,
        "blur": d.thermal_blur,
        "stripes": d.thermal_stripes,
        "halo": d.thermal_halo,
        "noise": d.thermal_noise,
    }
    of_thermal = {
        "thermal": thermal,
        "attenuation": d.thermal_attenuation(thermal, depth, severity, rng),
    }
    of_thermal |= {name: function(thermal, severity, rng) for name, function in alone.items()}
    return (
        [(f"{name} {severity:.1f}", image) for name, image in of_visible.items()],
        [(f"{name} {severity:.1f}", image) for name, image in of_thermal.items()],
    )


def draw_sheet(rows: Sequence[Sequence[Tile]], side: int) -> np.ndarray:
    """Lay labelled tiles out in rows.

    Args:
        rows: tiles as (label, H x W or H x W x 3 RGB image in [0, 1]), at most ``side`` large.
        side: height and width of a tile in pixels.

    Returns:
        8-bit RGB image.
    """
    columns = max(len(row) for row in rows)
    step = side + LABEL_HEIGHT
    sheet = np.full((len(rows) * step, columns * (side + 4), 3), 24, np.uint8)
    for y, row in enumerate(rows):
        for x, (label, image) in enumerate(row):
            pixels = cv2.convertScaleAbs(image, alpha=255.0)
            if pixels.ndim == 2:
                pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
            height, width = pixels.shape[:2]
            top, left = y * step + LABEL_HEIGHT, x * (side + 4)
            sheet[top : top + height, left : left + width] = pixels
            cv2.putText(
                sheet,
                label[: side // 6],
                (left + 2, top - 4),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.33,
                (220, 220, 220),
                1,
                cv2.LINE_AA,
            )
    return sheet


def make_rows(
    pairs: Sequence[Pair], beside: Sequence[Pair], side: int, rng: np.random.Generator
) -> list[list[Tile]]:
    """All rows of the sheet: each degradation alone, random combinations, images beside."""
    crops = [crop_pair(pair, side, rng) for pair in pairs]
    rows: list[list[Tile]] = []
    for crop, severity in zip(crops, np.linspace(0.3, 1.0, len(crops)), strict=True):
        rows += degradations_alone(crop, float(severity), rng)

    def both(label: str, pair: Pair) -> list[Tile]:
        return [(label, pair[0]), ("", pair[1])]

    def drawn() -> Iterator[list[Tile]]:
        for pair in (*pairs, *pairs):
            degraded = d.degrade(*crop_pair(pair, side, rng), rng)
            yield both("+".join(degraded.names) or "clean", degraded[:2])

    given = (both("beside", crop_pair(pair, side, rng)) for pair in beside for _ in range(3))
    for tiles in (drawn(), given):
        while three := list(islice(tiles, 3)):
            rows.append([tile for pair in three for tile in pair])
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a contact sheet as the command line says; 0 on success, 1 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.data.contact_sheet")
    parser.add_argument("--data", type=Path, required=True, help="folder of clean pairs")
    parser.add_argument("--beside", type=Path, help="folder of degraded pairs to compare with")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--pairs", type=int, default=4, help="clean pairs shown (4)")
    parser.add_argument("--crop", type=int, default=168, help="side of the crops in pixels (168)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    rng = np.random.default_rng(options.seed)
    try:
        found = find_pairs(options.data)
        chosen = rng.choice(len(found), min(options.pairs, len(found)), replace=False)
        pairs = [read_floats(found[i]) for i in sorted(chosen)]
        beside = (
            [read_floats(f) for f in find_pairs(options.beside, allow_test=True)]
            if options.beside
            else []
        )
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    sheet = draw_sheet(make_rows(pairs, beside, options.crop, rng), options.crop)
    if not cv2.imwrite(str(options.out), sheet[:, :, ::-1]):
        print(f"{options.out}: cannot be written; expected an existing folder", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
