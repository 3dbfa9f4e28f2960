"""``python -m training.temporal``: how steady fusion is on a video of two cameras."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from amg_fuse_ros.engine import EngineError
from amg_fuse_ros.fusion import Fuser
from training.evaluate import find_sets
from training.temporal.measuring import Measured, measure
from training.temporal.video import FuseVideo, by_baseline, by_fuser, read_video
from training.temporal.weather import SEVERITY, WEATHERS

COMPARED = ("laplacian", "average", "visible", "thermal")


def gain_table(measured: Measured) -> Table:
    """The steps of the thermal mapping, as people read them."""
    table = _table(
        f"{measured.video}: thermal gain, change from frame to frame",
        ("counts", "mapping"),
        ("ends, % of width", "largest", "brightness", "largest"),
    )
    for case, mappings in measured.gain.items():
        for name, s in mappings.items():
            window = (f"{100 * s.window_mean:.2f}", f"{100 * s.window_largest:.2f}")
            brightness = (f"{s.brightness_mean:.2f}", f"{s.brightness_largest:.2f}")
            table.add_row(case, name, *window, *brightness)
    return table


def flicker_table(measured: Measured) -> Table:
    """Flicker of image and mask, and what is left of the weather's, as people read them."""
    resting = next(iter(measured.flicker.values())).resting
    columns = ["std", "of mean", "beyond inputs", "all pixels", "mask std, %"]
    columns += [f"{kind} {what}" for kind in measured.weather for what in ("std", "left", "mask")]
    title = f"{measured.video}: {measured.frames} frames, {100 * resting:.0f} % rests; grey levels"
    table = _table(title, ("method",), columns)
    for name, f in measured.flicker.items():
        resting_only = (f.std, f.brightness_std, f.beyond_inputs_resting)
        cells = ["-" if x is None else f"{x:.2f}" for x in (*resting_only, f.beyond_inputs)]
        cells.append("-" if f.mask_std is None else f"{f.mask_std:.2f}")
        for methods in measured.weather.values():
            w = methods[name]
            cells += [f"{w.fused_std:.2f}", f"{w.left:.2f}", f"{w.mask_std:.2f}"]
        table.add_row(name, *cells)
    return table


def _table(title: str, names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE)
    for heading in names:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    taken = argparse.ArgumentParser(
        prog="python -m training.temporal",
        description="Measure how steady thermal gain, fused image and mask are on a video.",
    )
    taken.add_argument("--data", type=Path, required=True, metavar="DIR", help="ir/ vi/, or sets")
    taken.add_argument(
        "--weights",
        action="append",
        metavar="W",
        help="weights file; repeat to compare several; the shipped one by default",
    )
    taken.add_argument("--engine", default="auto", metavar="E", help="%(default)s")
    taken.add_argument("--scale", type=float, default=1.0, metavar="S", help="fuse at this size")
    taken.add_argument("--frames", type=int, metavar="N", help="of each video; all by default")
    taken.add_argument(
        "--weather",
        action="append",
        choices=WEATHERS,
        default=[],
        help="also let this fall, anew in every frame; repeat for more",
    )
    taken.add_argument("--severity", type=float, default=SEVERITY, help="0 to 1 (%(default)s)")
    taken.add_argument("--out", type=Path, metavar="DIR", help="temporal.json, a PNG per video")
    taken.add_argument("--json", action="store_true", help="print JSON")
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 on success, 1 on bad input."""
    options = parser().parse_args(arguments)
    errors = Console(stderr=True)
    try:
        measured = _run(options, errors)
        report = json.dumps([asdict(one) for one in measured], indent=1)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / "temporal.json").write_text(report + "\n")
    except (OSError, ValueError, EngineError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False, soft_wrap=True)
        return 1
    if options.json:
        sys.stdout.write(report + "\n")
        return 0
    console = Console(width=None if sys.stdout.isatty() else 140)
    for one in measured:
        console.print(gain_table(one), flicker_table(one))
    return 0


def _run(options: argparse.Namespace, errors: Console) -> list[Measured]:
    """Read the videos, fuse and measure them."""
    if not 0 <= options.severity <= 1:
        raise ValueError(f"--severity: expected 0 to 1, found {options.severity}")
    videos = [
        read_video(images.thermal, images.visible, images.name, options.frames)
        for images in find_sets(options.data)
    ]
    fusers = {
        name: Fuser.from_options(
            weights=weights, engine=options.engine, scale=options.scale, steady=True
        )
        for name, weights in _named(options.weights or [""]).items()
    }
    with Progress(console=errors) as progress:
        total = sum(map(len, videos)) * (1 + len(options.weather)) * len(fusers)
        task = progress.add_task("fusing", total=total)
        methods: dict[str, FuseVideo] = {
            name: by_fuser(fuser, lambda: progress.advance(task)) for name, fuser in fusers.items()
        }
        methods |= {name: by_baseline(name) for name in COMPARED}
        return [
            measure(
                video,
                methods,
                weathers=options.weather,
                severity=options.severity,
                sheet=options.out / f"{video.name}.png" if options.out else None,
            )
            for video in videos
        ]


def _named(weights: Sequence[str]) -> dict[str, str]:
    """Weights files by what tables call them: their stems, where these differ."""
    stems = {Path(file).stem or "shipped": file for file in weights}
    return stems if len(stems) == len(weights) else {file: file for file in weights}


if __name__ == "__main__":
    sys.exit(main())
