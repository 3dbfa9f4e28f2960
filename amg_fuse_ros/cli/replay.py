"""``amg-fuse replay``: a bag in, a bag with fused images out."""

from pathlib import Path
from typing import Annotated

import typer

from amg_fuse_ros.cli.options import (
    Device,
    EngineName,
    MaskForm,
    Precision,
    Scale,
    Size,
    Weights,
    make_fuser,
    say_scale,
    setting_option,
)
from amg_fuse_ros.cli.terminal import progress, say


def replay(
    bag: Annotated[Path, typer.Argument(help="rosbag2 to fuse: sqlite3 or mcap.")],
    out: Annotated[Path, typer.Option(help="Bag folder to create (mcap).")],
    thermal_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
    rgb_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
    slop_ms: Annotated[float, setting_option("sync.slop_ms")] = 25.0,
    copy_sources: Annotated[
        bool, typer.Option("--copy-sources", help="Copy the cameras' messages along.")
    ] = False,
    weights: Weights = "",
    size: Size = "auto",
    scale: Scale = 1.0,
    engine: EngineName = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    mask_form: MaskForm = "local",
) -> None:
    """Fuse every pair of a bag into a new bag, offline and without a ROS graph."""
    from amg_fuse_ros import bags

    with bags.Recording(bag) as recording:
        topics = bags.guess_topics(recording, thermal=thermal_topic or None, rgb=rgb_topic or None)
    say("bold", "topics:", f"thermal {topics.thermal}, rgb {topics.rgb}")
    fuser = make_fuser(weights, size, scale, engine, device, precision, mask_form)
    with progress("replaying") as report:
        summary = bags.replay(
            bag,
            out,
            fuser.fuse,
            topics=topics,
            slop_s=slop_ms / 1000,
            copy_sources=copy_sources,
            progress=report,
        )
    counts = summary.counts
    for problem in [*counts.problems, *([counts.broken] if counts.broken else [])]:
        say("yellow", "problem:", problem)
    say_scale(fuser.scale)
    typer.echo(
        f"{summary.fused} pairs fused into {out} in {summary.seconds:.1f} s; without partner: "
        f"{counts.unpaired_thermal} thermal, {counts.unpaired_rgb} rgb; skipped: {counts.skipped}"
    )
