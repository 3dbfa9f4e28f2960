"""``python -m training.restorer fit``: train the small restorer on a folder of clean pairs."""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from training.data.pairs import find_pairs, split_by_scene
from training.loop import FitSettings
from training.restorer.fit import fit_restorer

app = typer.Typer(add_completion=False)


@app.callback()
def main() -> None:
    """The restorer of the TDAS loss."""


@app.command()
def fit(
    data: Annotated[Path, typer.Option(help="Folder with ir/ + vi/, or with such folders.")],
    out: Annotated[Path, typer.Option(help="Safetensors file; a run that it has goes on.")],
    minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes.")] = None,
    init: Annotated[Path | None, typer.Option(help="Small restorer's file to start from.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of the whole schedule.")] = 12_000,
    batch: Annotated[int, typer.Option(help="Crops per step.")] = 4,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that prepare batches.")] = 1,
) -> None:
    """Train on clean pairs, degraded on the fly; run the same command again to go on."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if threads:
        torch.set_num_threads(threads)
    training, validation = split_by_scene(find_pairs(data))
    done = fit_restorer(
        training,
        validation,
        out,
        FitSettings(steps=steps, batch=batch),
        minutes=minutes,
        initial=init,
        device=device,
        workers=workers,
    )
    typer.echo(f"{out}: step {done.step}, {done.seconds / 60:.1f} minutes of training in all")


if __name__ == "__main__":
    app()
