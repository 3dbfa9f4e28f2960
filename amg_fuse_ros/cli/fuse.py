"""``amg-fuse fuse``: image files in, image files out."""

from contextlib import closing
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
)
from amg_fuse_ros.cli.terminal import progress, say

if TYPE_CHECKING:
    from amg_fuse_ros.offline import Recipe
    from amg_fuse_ros.spread import Workers

ROOTS = "Folders with recordings at any depth (thermal/ + rgb/, or ir/ + vi/)."


def fuse(
    out: Annotated[Path, typer.Option(help="Folder for the fused images, NAME.png.")],
    roots: Annotated[list[Path] | None, typer.Argument(help=ROOTS)] = None,
    thermal: Annotated[
        Path | None, typer.Option(help="Thermal image, or a folder of them.")
    ] = None,
    rgb: Annotated[
        Path | None, typer.Option(help="RGB image, or a folder of them with equal names.")
    ] = None,
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
    registration: Registration = "",
    thermal_gain: ThermalGain = "percentile",
    thermal_polarity: ThermalPolarity = "white_hot",
    workers: WorkerCount = 0,
    ray: RayAddress = "",
) -> None:
    """Fuse images: pairs by file name, extensions may differ; 8- and 16-bit thermal."""
    from amg_fuse_ros.offline import Recipe
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
    where = Workers(workers, ray)
    if roots and not (thermal or rgb):
        problems = _fuse_recordings(roots, out, recipe, where, mask, side_by_side)
    elif thermal and rgb and not roots:
        problems = _fuse_pair_of_folders(thermal, rgb, out, recipe, where, mask, side_by_side)
    else:
        raise typer.BadParameter("expected --thermal and --rgb, or folders of recordings")
    if problems:
        raise typer.Exit(1)


def _fuse_pair_of_folders(
    thermal: Path,
    rgb: Path,
    out: Path,
    recipe: "Recipe",
    workers: "Workers",
    mask: bool,
    side_by_side: bool,
) -> list[str]:
    from amg_fuse_ros.bags import pair_files
    from amg_fuse_ros.image_files import file_jobs
    from amg_fuse_ros.offline import fuse_jobs

    files = pair_files(thermal, rgb)
    for path in [*files.thermal_only, *files.rgb_only]:
        say("yellow", "no partner, left out:", path)
    if not files.pairs:
        raise ValueError(f"no file in {thermal} has the name of one in {rgb}: nothing to fuse")
    jobs = file_jobs(files.pairs, out, mask=mask, side_by_side=side_by_side)
    problems = []
    with progress("fusing") as report, closing(fuse_jobs(jobs, recipe, workers)) as outcomes:
        for done, outcome in enumerate(outcomes, 1):
            if outcome.error:
                problems.append(outcome.error)
            report(done, len(jobs))
    for problem in problems:
        say("red", "left out:", problem)
    say_scale(recipe.scale)
    typer.echo(f"{len(jobs) - len(problems)} of {len(jobs)} pairs fused into {out}")
    return problems


def _fuse_recordings(
    roots: list[Path],
    out: Path,
    recipe: "Recipe",
    workers: "Workers",
    mask: bool,
    side_by_side: bool,
) -> list[str]:
    from amg_fuse_ros.offline import find_folders, fuse_folders

    recordings = find_folders(roots, out)
    with progress("fusing") as report:
        night = fuse_folders(
            recordings, out, recipe, workers, mask=mask, side_by_side=side_by_side, progress=report
        )
    for problem in night.problems:
        say("red", "left out:", problem)
    if night.no_partner:
        say("yellow", "without partner:", f"{night.no_partner} images")
    say_scale(recipe.scale)
    typer.echo(
        f"{night.fused} pairs of {night.recordings} recordings fused into {out}; "
        f"complete before: {night.complete}; left out: {len(night.problems)}"
    )
    return night.problems
