"""``amg-fuse convert-detector``: a YOLO network in a form that a vehicle can load safely."""

from pathlib import Path
from typing import Annotated

import typer

from amg_fuse_ros.cli.options import Device
from amg_fuse_ros.cli.terminal import say


def convert_detector(
    model: Annotated[Path, typer.Argument(help="Trained network of ultralytics, .pt.")],
    out: Annotated[
        Path,
        typer.Option(help="NAME.onnx, NAME_openvino_model or NAME.engine: the name says the form."),
    ],
    resolution: Annotated[str, typer.Option(help="WxH that the network sees.")] = "640x640",
    half: Annotated[bool, typer.Option("--half", help="Half precision.")] = False,
    device: Device = "auto",
) -> None:
    """Write a YOLO network as ONNX, OpenVINO or TensorRT; a .pt runs code: trust its source."""
    from amg_fuse_ros.detection import convert
    from amg_fuse_ros.resolution import Resolution

    width, height = Resolution.parse(resolution)
    say("bold", "converting:", f"{model} (a pickle: the code in it is run)")
    names = convert(model, out, (height, width), half=half, device=device)
    typer.echo(f"{out}: {width}x{height}, {len(names)} classes: {', '.join(names.values())}")
