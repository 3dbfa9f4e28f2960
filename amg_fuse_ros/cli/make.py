"""``amg-fuse make-bag`` and ``make-scene``: recordings for a try without cameras."""

from pathlib import Path
from typing import Annotated

import typer

from amg_fuse_ros.cli.terminal import progress, say


def make_bag(
    thermal: Annotated[Path, typer.Option(help="Folder of thermal images, 8 or 16 bits.")],
    rgb: Annotated[Path, typer.Option(help="Folder of RGB images with equal names.")],
    out: Annotated[Path, typer.Option(help="Bag folder to create (mcap).")],
    fps: Annotated[float, typer.Option(help="Pairs per second.")] = 10.0,
) -> None:
    """Make a bag out of two folders of images, as two synchronised cameras would record it."""
    from amg_fuse_ros import bags

    with progress("writing") as report:
        summary = bags.make_bag(thermal, rgb, fps, out, progress=report)
    for path in [*summary.thermal_only, *summary.rgb_only]:
        say("yellow", "no partner, left out:", path)
    typer.echo(f"{summary.pairs} pairs at {fps:g} Hz written to {out}")


def make_scene(
    out: Annotated[Path, typer.Option(help="Folder to fill: thermal/, rgb/, labels/.")],
    weather: Annotated[str, typer.Option(help="clear, fog, rain or snow.")] = "fog",
    time_of_day: Annotated[str, typer.Option(help="day or night.")] = "night",
    seconds: Annotated[float, typer.Option(help="Length of the sequence.")] = 3.0,
    start: Annotated[float, typer.Option(help="Second at which the sequence begins.")] = 0.0,
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Another seed, another street.")] = 0,
) -> None:
    """Draw a street of our own with both cameras, for a try without any."""
    from amg_fuse_ros.scenes import Scene, write_folders

    scene = Scene(seed, time_of_day=time_of_day, weather=weather)  # type: ignore[arg-type]
    typer.echo(f"{write_folders(out, [(scene, start, seconds)], fps)} frames written to {out}")
