"""``python -m training.fit``: train a network on a folder of clean pairs."""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from amg_fuse_ros.allocator import keep_big_blocks
from training.config import TrainingConfig
from training.data.pairs import find_pairs, split_by_scene
from training.pseudo_truth.emma import EmmaPseudoTruth
from training.schedule import TrainingDivergedError
from training.trainer import Inputs, Session, train

app = typer.Typer(add_completion=False)


@app.command()
def fit(
    data: Annotated[Path, typer.Option(help="Data set, folder with ir/ + vi/, or several.")],
    config: Annotated[str, typer.Option(help="Preset name or YAML file.")] = "default",
    size: Annotated[str | None, typer.Option(help="tiny or full, instead of the preset's.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE instead of the preset's, e.g. losses.tdas=5."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; an existing one goes on.")] = Path(
        "runs/default"
    ),
    minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes.")] = None,
    init: Annotated[Path | None, typer.Option(help="Weights file to start from.")] = None,
    restorer: Annotated[Path | None, typer.Option(help="Restorer's file, for TDAS.")] = None,
    emma: Annotated[Path | None, typer.Option(help="Pseudo ground truth by this EMMA.")] = None,
    extend: Annotated[bool, typer.Option(help="Go on with more steps or other data.")] = False,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    workers: Annotated[int, typer.Option(help="Processes that prepare batches.")] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
    save_every: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 300.0,
    record_every: Annotated[int, typer.Option(help="Steps between lines of the log.")] = 20,
) -> None:
    """Train on clean pairs, degraded on the fly; run it again to go on where it stopped.

    Under ``torchrun --nproc_per_node N -m training.fit`` N processes share each batch.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_big_blocks()
    if threads:
        torch.set_num_threads(threads)
    first = os.environ.get("RANK", "0") == "0"
    try:
        chosen = TrainingConfig.load(config, settings or ())
        chosen = chosen if size is None else replace(chosen, size=size)
        looks = out / "fingerprints.json" if first else None
        training, validation = split_by_scene(find_pairs(data), cache=looks)
        truth = EmmaPseudoTruth(emma) if emma else None
        done = train(
            chosen,
            Inputs(training, validation, init, restorer, truth),
            out,
            Session(
                minutes=minutes,
                accelerator=accelerator,
                precision=precision,
                workers=workers,
                save_every_s=save_every,
                record_every=record_every,
                extend=extend,
            ),
        )
    except (OSError, ValueError, TrainingDivergedError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if first:
        best = f", best score {done.best['score']:.4f}" if done.best else ""
        minutes_done = done.seconds / 60
        typer.echo(f"{out}: step {done.step}, {minutes_done:.1f} minutes of training in all{best}")


if __name__ == "__main__":
    app()
