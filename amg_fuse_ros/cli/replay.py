"""``amg-fuse replay``: bags in, bags with fused images out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amg_fuse_ros.cli.options import (
    Device,
    EngineName,
    MaskForm,
    Precision,
    RayAddress,
    Registration,
    Scale,
    Size,
    ThermalGain,
    ThermalPolarity,
    Weights,
    WorkerCount,
    say_scale,
    setting_option,
)
from amg_fuse_ros.cli.terminal import progress, say

if TYPE_CHECKING:
    from amg_fuse_ros.bags import FramePair
    from amg_fuse_ros.bags.replaying import Fused
    from amg_fuse_ros.offline import BagPlace, Recipe, ReplayOptions
    from amg_fuse_ros.spread import Workers


def replay(
    bag: Annotated[
        list[Path],
        typer.Argument(help="rosbag2 to fuse: sqlite3 or mcap; or several, or folders of them."),
    ],
    out: Annotated[
        Path, typer.Option(help="Bag folder to create (mcap); of several, a folder for them.")
    ],
    thermal_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
    rgb_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
    slop_ms: Annotated[float, setting_option("sync.slop_ms")] = 25.0,
    copy_sources: Annotated[
        bool, typer.Option("--copy-sources", help="Copy the cameras' messages along.")
    ] = False,
    rerun: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.rrd",
            help="Also record thermal, RGB, fused, mask and latencies for the Rerun viewer.",
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="With --rerun: a YOLO network whose detections in the fused images go along.",
        ),
    ] = None,
    weights: Weights = "",
    size: Size = "auto",
    scale: Scale = 1.0,
    engine: EngineName = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    mask_form: MaskForm = "local",
    registration: Registration = "",
    thermal_gain: ThermalGain = "percentile",
    thermal_polarity: ThermalPolarity = "white_hot",
    workers: WorkerCount = 0,
    ray: RayAddress = "",
) -> None:
    """Fuse every pair of a bag into a new bag, offline and without a ROS graph."""
    from amg_fuse_ros.offline import Recipe, ReplayOptions, find_bags, is_bag_folder
    from amg_fuse_ros.spread import Workers

    recipe = Recipe(
        weights,
        size,
        engine,
        device,
        precision,
        scale,
        mask_form,
        registration,
        thermal_gain,
        thermal_polarity,
    )
    if detector is not None and rerun is None:
        raise ValueError("--detector goes with --rerun, whose file shows what is found")
    where = Workers(workers, ray)
    options = ReplayOptions(thermal_topic, rgb_topic, slop_ms / 1000, copy_sources)
    one = bag[0] if len(bag) == 1 else None
    if one is not None and (not one.is_dir() or is_bag_folder(one)):
        _replay_one(one, out, recipe, options, where, rerun, detector)
    elif rerun is not None:
        raise ValueError("--rerun takes one bag into one file; replay that bag alone")
    else:
        _replay_many(find_bags(bag, out), out, recipe, options, where)


def _replay_one(
    bag: Path,
    out: Path,
    recipe: "Recipe",
    options: "ReplayOptions",
    workers: "Workers",
    rerun: Path | None,
    detector: Path | None,
) -> None:
    from amg_fuse_ros import bags
    from amg_fuse_ros.offline import replay_one

    with bags.Recording(bag) as recording:
        thermal, rgb = options.thermal_topic or None, options.rgb_topic or None
        topics = bags.guess_topics(recording, thermal=thermal, rgb=rgb)
    say("bold", "topics:", f"thermal {topics.thermal}, rgb {topics.rgb}")
    with _rerun_log(rerun, detector) as log, progress("replaying") as report:
        summary = replay_one(
            bag,
            out,
            recipe,
            options,
            workers,
            topics=topics,
            progress=report,
            on_fused=log,
        )
    counts = summary.counts
    for problem in [*counts.problems, *([counts.broken] if counts.broken else [])]:
        say("yellow", "problem:", problem)
    say_scale(recipe.scale)
    typer.echo(
        f"{summary.fused} pairs fused into {out} in {summary.seconds:.1f} s; without partner: "
        f"{counts.unpaired_thermal} thermal, {counts.unpaired_rgb} rgb; skipped: {counts.skipped}"
    )


@contextmanager
def _rerun_log(
    file: Path | None, model: Path | None
) -> "Iterator[Callable[[FramePair, Fused], None] | None]":
    """Gives what logs a pair with its frame, and what a detector finds in it; none without file."""
    if file is None:
        yield None
        return
    from amg_fuse_ros.view import RerunLog

    detector = None
    if model is not None:
        from amg_fuse_ros.detection import Detector

        detector = Detector.load(model)
    with RerunLog(file) as log:

        def log_pair(pair: "FramePair", frame: "Fused") -> None:
            log.pair(pair, frame)
            if detector is not None:
                found = detector.detect(frame.image)
                captions = [found.caption(index) for index in range(len(found))]
                stamp_ns = pair.rgb_header.stamp_ns or pair.record_ns
                log.detections(stamp_ns, found.boxes, captions, found.class_ids.tolist())

        yield log_pair


def _replay_many(
    places: "list[BagPlace]",
    out: Path,
    recipe: "Recipe",
    options: "ReplayOptions",
    workers: "Workers",
) -> None:
    from amg_fuse_ros.offline import replay_bags

    with progress("replaying bags") as report:
        night = replay_bags(places, out, recipe, options, workers, progress=report)
    for note in night.notes:
        say("yellow", "problem:", note)
    for problem in night.problems:
        say("red", "left out:", problem)
    say_scale(recipe.scale)
    typer.echo(
        f"{night.fused} of {night.bags} bags fused into {out} ({night.pairs} pairs); "
        f"complete before: {night.complete}; left out: {len(night.problems)}"
    )
    if night.problems:
        raise typer.Exit(1)
