"""``python -m training.fit``: train a network on a folder of clean pairs."""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from training.config import TrainingConfig
from training.data.pairs import find_pairs, split_by_scene
from training.trainer import train

app = typer.Typer(add_completion=False)


@app.command()
def fit(
    data: Annotated[Path, typer.Option(help="Folder with ir/ + vi/, or with such folders.")],
    config: Annotated[str, typer.Option(help="Preset name or YAML file.")] = "default",
    out: Annotated[Path, typer.Option(help="Folder of the run; an existing one goes on.")] = Path(
        "runs/default"
    ),
    minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes.")] = None,
    init: Annotated[Path | None, typer.Option(help="Weights file to start from.")] = None,
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
) -> None:
    """Train on clean pairs, degraded on the fly; run it again to go on where it stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if threads:
        torch.set_num_threads(threads)
    training, _ = split_by_scene(find_pairs(data))
    done = train(
        TrainingConfig.load(config),
        training,
        out,
        minutes=minutes,
        initial_weights=init,
        precision=precision,
    )
    typer.echo(f"{out}: step {done.step}, {done.seconds / 60:.1f} minutes of training in all")


if __name__ == "__main__":
    app()
