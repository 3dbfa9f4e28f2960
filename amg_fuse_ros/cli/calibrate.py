"""``amg-fuse calibrate``: find out from recordings how the thermal camera sits."""

from pathlib import Path
from typing import Annotated

import typer

from amg_fuse_ros.cli.terminal import progress, say


def calibrate(
    out: Annotated[
        Path,
        typer.Option(help="Calibration file to write, NAME.yaml; an overlay to look at beside it."),
    ],
    bag: Annotated[Path | None, typer.Option(help="rosbag2 with both cameras.")] = None,
    thermal: Annotated[Path | None, typer.Option(help="Or: folder of thermal images.")] = None,
    rgb: Annotated[Path | None, typer.Option(help="Folder of RGB images, equal names.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs to use, evenly spread.")] = 20,
    board: Annotated[
        str,
        typer.Option(
            help="Inner corners of a chessboard as 9x6, or circles:9x6, acircles:4x11; else edges."
        ),
    ] = "",
    thermal_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
    rgb_topic: Annotated[str, typer.Option(help="Guessed when not given.")] = "",
) -> None:
    """Find out where the thermal image lies in the RGB image, by edges that both cameras see."""
    from amg_fuse_ros.calibration import calibrate_rig, pairs_of_bag, pairs_of_folders
    from amg_fuse_ros.calibration_file import save_calibration

    if (bag is None) == (thermal is None or rgb is None):
        raise ValueError("expected --bag BAG, or --thermal FOLDER and --rgb FOLDER")
    with progress("reading") as report:
        if bag is not None:
            used = pairs_of_bag(
                bag, pairs, thermal_topic=thermal_topic, rgb_topic=rgb_topic, progress=report
            )
        else:
            assert thermal is not None
            assert rgb is not None
            used = pairs_of_folders(thermal, rgb, pairs, progress=report)
    estimate, overlay = calibrate_rig(used, board)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_calibration(estimate.calibration, out)
    picture = out.with_suffix(".png")
    picture.write_bytes(overlay)
    say("bold", "look at:", picture)
    typer.echo(
        f"{out}: error {estimate.error_px:.1f} px of the RGB image in the median "
        f"({estimate.agreeing} of {estimate.matches} places in {len(used)} pairs agree)"
    )
