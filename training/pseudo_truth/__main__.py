"""``python -m training.pseudo_truth fit``: train EMMA's networks on a folder of clean pairs."""

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from training.data.pairs import find_pairs, split_by_scene
from training.pseudo_truth.emma_fit import EmmaSettings, fit_emma

app = typer.Typer(add_completion=False)


@app.callback()
def main() -> None:
    """Pseudo ground truth for the fusion network."""


@app.command()
def fit(
    data: Annotated[Path, typer.Option(help="Folder with ir/ + vi/, or with such folders.")],
    out: Annotated[Path, typer.Option(help="Safetensors file; a run that it has goes on.")],
    minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes.")] = None,
    init: Annotated[Path | None, typer.Option(help="File to fine-tune the fusion of.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of the whole schedule.")] = 6_000,
    sensing_steps: Annotated[
        int | None, typer.Option(help="Of these, for sensing; default a third, with --init 0.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Crops per step.")] = 4,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that prepare batches.")] = 1,
) -> None:
    """Train fusion and pseudo-sensing without labels; run the same command again to go on."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if threads:
        torch.set_num_threads(threads)
    if sensing_steps is None:
        sensing_steps = 0 if init else steps // 3
    training, validation = split_by_scene(find_pairs(data))
    done = fit_emma(
        training,
        validation,
        out,
        EmmaSettings(steps=steps, batch=batch, sensing_steps=sensing_steps),
        minutes=minutes,
        initial=init,
        device=device,
        workers=workers,
    )
    typer.echo(f"{out}: step {done.step}, {done.seconds / 60:.1f} minutes of training in all")


if __name__ == "__main__":
    app()
