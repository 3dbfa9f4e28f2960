"""``amg-fuse fuse``: image files in, image files out."""

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
)
from amg_fuse_ros.cli.terminal import progress, say


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
        say("yellow", "no partner, left out:", path)
    if not files.pairs:
        raise ValueError(f"no file in {thermal} has the name of one in {rgb}: nothing to fuse")
    fuser = make_fuser(weights, size, scale, engine, device, precision, mask_form)
    with progress("fusing") as report:
        result = fuse_files(
            files.pairs, out, fuser, mask=mask, side_by_side=side_by_side, progress=report
        )
    for problem in result.problems:
        say("red", "left out:", problem)
    say_scale(fuser.scale)
    typer.echo(f"{result.fused} of {len(files.pairs)} pairs fused into {out}")
    if result.problems:
        raise typer.Exit(1)
