"""``amg-fuse info``: what is installed here and what the weights are."""

from typing import Annotated

import typer


def info(
    weights: Annotated[str, typer.Option(help="Tell about this weights file.")] = "",
) -> None:
    """Tell versions, devices, engines, converters and what the weights are."""
    from amg_fuse_ros.about import describe

    for line in describe(weights or None):
        typer.echo(line)
