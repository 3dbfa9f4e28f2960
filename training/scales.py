"""What fusing at a lower size costs in quality: `python -m training.evaluate --scale 1,0.5`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from amg_fuse_ros.engine.fidelity import psnr_db
from training.metrics import METRICS
from training.metrics.common import luminance
from training.metrics.folder import list_images, read_image
from training.metrics.ssim import ssim


@dataclass(frozen=True)
class ScaleScores:
    """One scale over all images."""

    scale: float
    images: int
    psnr_db: float | None
    """Mean PSNR of 8-bit RGB against full size; ``None`` for full size itself."""
    ssim: float | None
    """Mean SSIM of luminance against full size."""
    metrics: Mapping[str, float]
    """Means over the images, as :func:`training.evaluate.means` gives them."""


def parse_scales(text: str) -> tuple[float, ...]:
    """Scales with commas between, largest first, without repetitions.

    Raises:
        ValueError: If one is no number in 0.05..1.
    """
    try:
        scales = sorted({float(part) for part in text.split(",")}, reverse=True)
    except ValueError:
        scales = []
    if not scales or not all(0.05 <= scale <= 1 for scale in scales):
        raise ValueError(f"--scale: expected numbers from 0.05 to 1, as 1,0.5, found {text!r}")
    return tuple(scales)


def closeness(results: Path, full: Path) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM of fused images against those of full size.

    Args:
        results: Folder with a folder for each set.
        full: The same at full size; images that only one of them has are left out.

    Raises:
        FileNotFoundError: If they have no image in common.
    """
    found = []
    for folder in sorted(path for path in full.iterdir() if path.is_dir()):
        theirs = list_images(folder)
        ours = list_images(results / folder.name)
        for name in sorted(ours.keys() & theirs.keys()):
            image, reference = read_image(ours[name]), read_image(theirs[name])
            grey, grey_reference = luminance(image), luminance(reference)
            unit = [(x / 255).astype(np.float32) for x in (image, reference)]
            found.append((psnr_db(*unit), ssim(grey_reference, grey_reference, grey)))
    if not found:
        raise FileNotFoundError(f"{results}: expected images that {full} has too, found none")
    psnr, similarity = np.mean(found, axis=0)
    return float(psnr), float(similarity)


def scale_table(method: str, scores: Sequence[ScaleScores]) -> Table:
    """As people read it: a line for each scale."""
    table = Table(title=method, box=box.SIMPLE)
    for heading in ("scale", "images", "PSNR to full, dB", "SSIM to full"):
        table.add_column(heading, justify="right")
    for metric in METRICS.values():
        table.add_column(metric.label, justify="right")
    for line in scores:
        own = ["-" if x is None else f"{x:.{n}f}" for x, n in ((line.psnr_db, 2), (line.ssim, 4))]
        metrics = [f"{line.metrics[key]:.3f}" if key in line.metrics else "-" for key in METRICS]
        table.add_row(f"{line.scale:g}", str(line.images), *own, *metrics)
    return table


def write_scales(out: Path, method: str, scores: Sequence[ScaleScores]) -> None:
    """Write ``scales.json``: what the table shows."""
    lines = [
        {
            "scale": line.scale,
            "images": line.images,
            "psnr_to_full_db": line.psnr_db,
            "ssim_to_full": line.ssim,
            **line.metrics,
        }
        for line in scores
    ]
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"method": method, "scales": lines}, indent=1) + "\n"
    (out / "scales.json").write_text(text)
