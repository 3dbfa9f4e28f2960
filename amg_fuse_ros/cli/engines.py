"""``amg-fuse build-engine`` and ``export``: what is better done before the first frame comes.

The engine ``auto`` takes the fastest of those that were built, in the resolutions for which they
were, if its picture is right; a build whose picture is not that of eager float64 is refused.
"""

from pathlib import Path
from typing import Annotated

import typer

from amg_fuse_ros.cli.options import Device, EngineName, Precision, Size, Weights
from amg_fuse_ros.cli.terminal import say


def build_engine(
    engine: EngineName = "auto",
    resolution: Annotated[str, typer.Option(help="WxH at which frames are fused.")] = "640x480",
    precision: Precision = "auto",
    weights: Weights = "",
    size: Size = "auto",
    device: Device = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Timed frames of each engine.")] = 3,
) -> None:
    """Build an engine (auto: all that can run here), check its picture, remember its speed."""
    from amg_fuse_ros import verification
    from amg_fuse_ros.engine import choice, create_engine
    from amg_fuse_ros.engine.static import padded
    from amg_fuse_ros.network import load_weights
    from amg_fuse_ros.resolution import Resolution
    from amg_fuse_ros.scenes import sample_pairs
    from amg_fuse_ros.weights import find_weights

    wanted = None if size == "auto" else size
    path = find_weights(weights, size, device)
    network = load_weights(path, size=wanted)
    if engine == "auto":
        kinds = verification.available(network, device)
    else:
        made = create_engine(load_weights(path), engine, device, precision)
        kinds = [(engine, made.precision)]
    kinds = [k for k in kinds if precision in ("auto", k[1])]
    where = create_engine(load_weights(path), "eager", device).device
    # What was measured replaces what is usual without, so that must not be left out.
    usual = choice.usual(network.size.name, where, precision)
    if usual is not None and (usual.engine, usual.precision) not in kinds:
        kinds.append((usual.engine, usual.precision))
    width, height = Resolution.parse(resolution)
    verdicts = verification.verify(
        lambda: load_weights(path),
        sample_pairs(1, width, height),
        kinds,
        device=device,
        rounds=rounds,
        progress=lambda line: say("bold", "engine:", line),
    )
    for verdict in verdicts:
        say("green" if verdict.problem is None else "bold red", "engine:", verdict)
    choice.remember(network, where, verification.measurements(verdicts, width, height))
    refused = [v for v in verdicts if v.problem is not None and (v.engine, v.precision) in kinds]
    if taken := choice.choices(network, where).get((padded(height), padded(width))):
        typer.echo(f"auto takes {taken.engine} {taken.precision}: {taken.why}")
    if refused:
        raise typer.Exit(1)


def export(
    onnx: Annotated[Path, typer.Option(help="File to write.")],
    resolution: Annotated[str, typer.Option(help="WxH, multiples of 8.")] = "640x480",
    weights: Weights = "",
    size: Size = "auto",
) -> None:
    """Write the network as a checked ONNX file: visible, thermal to fused, float32 in [0, 1]."""
    from amg_fuse_ros.engine.onnx_file import OPSET, write_onnx
    from amg_fuse_ros.network import load_weights
    from amg_fuse_ros.resolution import Resolution
    from amg_fuse_ros.weights import find_weights

    wanted = None if size == "auto" else size
    network = load_weights(find_weights(weights, size), size=wanted)
    width, height = Resolution.parse(resolution)
    write_onnx(network, onnx, height, width)
    typer.echo(f"{onnx}: opset {OPSET}, {width}x{height}, {onnx.stat().st_size / 1e6:.0f} MB")
