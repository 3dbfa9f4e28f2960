"""``amg-fuse``: fuse folders, replay bags, make bags, tell what is here."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from amg_fuse_ros.settings import BY_NAME

if TYPE_CHECKING:
    from amg_fuse_ros.fusion import Fuser

app = typer.Typer(
    help="Fuse a thermal and an RGB camera in rain, snow, haze and at night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False, soft_wrap=True)


def _option(name: str, *flags: str) -> Any:
    """An option that is a setting: its description, its choices, its range."""
    setting = BY_NAME[name]

    def check(value: object) -> object:
        if problem := setting.problem_with(value):
            raise typer.BadParameter(problem)
        return value

    choices = "|".join(setting.choices) or None
    return typer.Option(*flags, help=setting.description, metavar=choices, callback=check)


Weights = Annotated[str, _option("network.weights")]
Size = Annotated[str, _option("network.size")]
Scale = Annotated[float, _option("network.scale")]
EngineName = Annotated[str, _option("engine", "--engine")]
Device = Annotated[str, _option("device")]
Precision = Annotated[str, _option("precision")]
MaskForm = Annotated[str, _option("mask.form")]


@app.command()
def fuse(
    thermal: Annotated[Path, typer.Option(help="Thermal image, or a folder of them.")],
    rgb: Annotated[Path, typer.Option(help="RGB image, or a folder of them with equal names.")],
    out: Annotated[Path, typer.Option(help="Folder for the fused images, NAME.png.")],
    mask: Annotated[bool, typer.Option("--mask", help="Also write mask/NAME.png.")] = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Also write side_by_side/NAME.png.")
    ] = False,
    weights: Weights = "",
    size: Size = "auto",
    scale: Scale = 1.0,
    engine: EngineName = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    mask_form: MaskForm = "local",
) -> None:
    """Fuse images: pairs by file name, extensions may differ; 8- and 16-bit thermal."""
    from amg_fuse_ros.bags import pair_files
    from amg_fuse_ros.image_files import fuse_files

    files = pair_files(thermal, rgb)
    for path in [*files.thermal_only, *files.rgb_only]:
        _say("yellow", "no partner, left out:", path)
    if not files.pairs:
        raise ValueError(f"no file in {thermal} has the name of one in {rgb}: nothing to fuse")
    fuser = _make_fuser(weights, size, scale, engine, device, precision, mask_form)
    with _progress("fusing") as report:
        result = fuse_files(
            files.pairs, out, fuser, mask=mask, side_by_side=side_by_side, progress=report
        )
    for problem in result.problems:
        _say("red", "left out:", problem)
    _say_scale(fuser)
    typer.echo(f"{result.fused} of {len(files.pairs)} pairs fused into {out}")
    if result.problems:
        raise typer.Exit(1)


@app.command()
def replay(
    bag: Annotated[Path, typer.Argument(help="rosbag2 to fuse: sqlite3 or mcap.")],
    out: Annotated[Path, typer.Option(help="Bag folder to create (mcap).")],
    thermal_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
    rgb_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
    slop_ms: Annotated[float, _option("sync.slop_ms")] = 25.0,
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
    _say("bold", "topics:", f"thermal {topics.thermal}, rgb {topics.rgb}")
    fuser = _make_fuser(weights, size, scale, engine, device, precision, mask_form)
    with _progress("replaying") as report:
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
        _say("yellow", "problem:", problem)
    _say_scale(fuser)
    typer.echo(
        f"{summary.fused} pairs fused into {out} in {summary.seconds:.1f} s; without partner: "
        f"{counts.unpaired_thermal} thermal, {counts.unpaired_rgb} rgb; skipped: {counts.skipped}"
    )


@app.command()
def make_bag(
    thermal: Annotated[Path, typer.Option(help="Folder of thermal images, 8 or 16 bits.")],
    rgb: Annotated[Path, typer.Option(help="Folder of RGB images with equal names.")],
    out: Annotated[Path, typer.Option(help="Bag folder to create (mcap).")],
    fps: Annotated[float, typer.Option(help="Pairs per second.")] = 10.0,
) -> None:
    """Make a bag out of two folders of images, as two synchronised cameras would record it."""
    from amg_fuse_ros import bags

    with _progress("writing") as report:
        summary = bags.make_bag(thermal, rgb, fps, out, progress=report)
    for path in [*summary.thermal_only, *summary.rgb_only]:
        _say("yellow", "no partner, left out:", path)
    typer.echo(f"{summary.pairs} pairs at {fps:g} Hz written to {out}")


@app.command()
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


@app.command()
def info(
    weights: Annotated[str, typer.Option(help="Tell about this weights file.")] = "",
) -> None:
    """Tell versions, devices, engines, converters and what the weights are."""
    from amg_fuse_ros.about import describe

    for line in describe(weights or None):
        typer.echo(line)


def main() -> None:
    """Run the command line; errors that people can mend are one line, not a traceback."""
    from amg_fuse_ros.bags import BagError
    from amg_fuse_ros.engine import EngineError

    # What the library logs while it works, the commands tell at their end.
    logging.getLogger("amg_fuse_ros").addHandler(logging.NullHandler())
    try:
        app()
    except (BagError, EngineError, OSError, ValueError) as error:
        _say("bold red", "error:", error)
        sys.exit(1)


def _say(style: str, label: str, text: object) -> None:
    # Text rather than markup: brackets in the names of files are no tags.
    console.print(Text.assemble((label, style), " ", str(text)))


def _make_fuser(
    weights: str, size: str, scale: float, engine: str, device: str, precision: str, mask_form: str
) -> "Fuser":
    from amg_fuse_ros.fusion import Fuser

    return Fuser.from_options(
        weights=weights,
        size=size,
        engine=engine,
        device=device,
        precision=precision,
        scale=scale,
        mask_form=mask_form,
    )


def _say_scale(fuser: "Fuser") -> None:
    if fuser.scale < 1:
        _say("yellow", "detail is lost:", f"fused at {fuser.scale:g} of the RGB size")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    main()
