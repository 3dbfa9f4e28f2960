"""``amg-fuse info``: what is installed here, and whether the engines are right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amg_fuse_ros.cli.options import Device, Weights
from amg_fuse_ros.cli.terminal import say

if TYPE_CHECKING:
    from amg_fuse_ros.verification import Pair

PAIRS = 3


def info(
    weights: Weights = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every engine with float64 eager.")
    ] = False,
    thermal: Annotated[
        Path | None, typer.Option(help="Verify on the first 3 pairs of this folder ...")
    ] = None,
    rgb: Annotated[Path | None, typer.Option(help="... and of this one.")] = None,
    resolution: Annotated[str, typer.Option(help="WxH of the pairs drawn to verify.")] = "320x240",
    device: Device = "auto",
) -> None:
    """Tell versions, devices, engines, converters and what the weights are."""
    from amg_fuse_ros.about import describe

    if not verify:
        for line in describe(weights or None, device):
            typer.echo(line)
        return
    from amg_fuse_ros import verification
    from amg_fuse_ros.engine import choice, create_engine
    from amg_fuse_ros.network import load_weights
    from amg_fuse_ros.weights import find_weights

    path = find_weights(weights, device=device)
    pairs = _pairs(thermal, rgb, resolution)
    verdicts = verification.verify(
        lambda: load_weights(path),
        pairs,
        verification.available(load_weights(path), device),
        device=device,
        progress=lambda line: say("bold", "verifying:", line),
    )
    for verdict in verdicts:
        typer.echo(str(verdict))
    sizes = {color.shape[1::-1] for _, color in pairs}
    if len(sizes) == 1:
        where = create_engine(load_weights(path), "eager", device).device
        found = verification.measurements(verdicts, *sizes.pop())
        choice.remember(load_weights(path), where, found)
    if any(verdict.problem for verdict in verdicts):
        raise typer.Exit(1)


def _pairs(thermal: Path | None, rgb: Path | None, resolution: str) -> "list[Pair]":
    if thermal is None and rgb is None:
        from amg_fuse_ros.resolution import Resolution
        from amg_fuse_ros.scenes import sample_pairs

        return list(sample_pairs(PAIRS, *Resolution.parse(resolution)))
    if thermal is None or rgb is None:
        raise ValueError("expected both --thermal and --rgb, or neither, to verify on own pairs")
    from amg_fuse_ros.bags import pair_files
    from amg_fuse_ros.bags.folders import read_rgb, read_thermal

    pairs = pair_files(thermal, rgb).pairs[:PAIRS]
    if not pairs:
        raise ValueError(f"no file in {thermal} has the name of one in {rgb}: nothing to verify on")
    return [(read_thermal(thermal_file), read_rgb(rgb_file)) for thermal_file, rgb_file in pairs]
