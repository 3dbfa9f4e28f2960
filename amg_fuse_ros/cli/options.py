"""Options that several commands share; those that are settings take their text from the table."""

from typing import Annotated, Any

import typer

from amg_fuse_ros.cli.terminal import say
from amg_fuse_ros.settings import BY_NAME


def setting_option(name: str, *flags: str) -> Any:
    """An option that is a setting: its description, its choices, its range."""
    setting = BY_NAME[name]

    def check(value: object) -> object:
        if problem := setting.problem_with(value):
            raise typer.BadParameter(problem)
        return value

    choices = "|".join(setting.choices) or None
    return typer.Option(*flags, help=setting.description, metavar=choices, callback=check)


Weights = Annotated[str, setting_option("network.weights")]
Size = Annotated[str, setting_option("network.size")]
Scale = Annotated[float, setting_option("network.scale")]
EngineName = Annotated[str, setting_option("engine", "--engine")]
Device = Annotated[str, setting_option("device")]
Precision = Annotated[str, setting_option("precision")]
MaskForm = Annotated[str, setting_option("mask.form")]
Registration = Annotated[str, setting_option("registration")]
ThermalGain = Annotated[str, setting_option("thermal.gain")]
ThermalPolarity = Annotated[str, setting_option("thermal.polarity")]
WorkerCount = Annotated[
    int,
    typer.Option(
        "--workers", min=0, help="Processes that share the cores; 0 takes what is fastest here."
    ),
]
RayAddress = Annotated[
    str,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Spread over a Ray cluster: its address, auto, or local for this machine.",
    ),
]


def say_scale(scale: float) -> None:
    """Say that detail is lost where the scale is below 1."""
    if scale < 1:
        say("yellow", "detail is lost:", f"fused at {scale:g} of the RGB size")
