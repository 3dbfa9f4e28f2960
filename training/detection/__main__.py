"""``python -m training.detection``: what fusion gains a detector over one camera alone."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from amg_fuse_ros.spread import SpreadError, Workers
from training.benchmark.fusing import over
from training.benchmark.identity import FusedStore, digest
from training.benchmark.methods import read_plan
from training.detection.cells import CellPlan, finished_cells, run_cells
from training.detection.contrast import contrast
from training.detection.drawn import drawn_parts
from training.detection.inputs import Inputs, make_inputs
from training.detection.parts import (
    DRAWN_WEATHERS,
    PARTS_CARD,
    REAL_WEATHERS,
    PairSettings,
    read_card,
)
from training.detection.recorded import recorded_parts
from training.detection.report import findings, write_report
from training.detection.scores import RESAMPLES, compare
from training.detection.shipping import make_detector
from training.detection.start import train_shared, train_start
from training.detection.task_aware import TaskSettings, fit
from training.detection.yolo_training import YoloSettings
from training.metrics.folder import default_cache

METHODS = Path(__file__).with_name("methods.yaml")

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Classes = Annotated[str, typer.Option(help="Class names to learn.")]
Side = Annotated[int, typer.Option(help="Longer side of the images in pixels, times 32.")]
Epochs = Annotated[int, typer.Option(min=1, help="Of each training.")]
Width = Annotated[float, typer.Option(help="Share of YOLO11's channels.")]
Precision = Annotated[str, typer.Option(help="Of the training: bf16 or fp32.")]
Device = Annotated[str, typer.Option(help="cpu, or 0 for the first GPU (untried).")]


@app.command("compare")
def compare_inputs(
    out: Annotated[Path, typer.Option(help="Folder of the experiment; an existing one goes on.")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled pairs to train on; without: drawn streets.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Labelled pairs to test on.")] = None,
    methods: Annotated[Path, typer.Option(help="YAML: what fuses; docs/evaluation.md.")] = METHODS,
    only: Annotated[
        list[str] | None, typer.Option("--input", help="Only this input; repeat for more.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each input.")] = 3,
    weathers: Annotated[str, typer.Option(help="Those to test in; all by default.")] = "",
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin with (of `start`; it is unpickled).")
    ] = None,
    shared_epochs: Annotated[
        int, typer.Option("--shared", min=0, help="First so many on all inputs together.")
    ] = 0,
    classes: Classes = "person,bicycle,car",
    side: Side = 256,
    test_side: Annotated[
        int | None, typer.Option(help="At which they are tested; as trained by default.")
    ] = None,
    versions: Annotated[int, typer.Option(help="Of each training pair: clear, in weather.")] = 2,
    streets: Annotated[int, typer.Option(help="Drawn ones to train on.")] = 60,
    test_streets: Annotated[int, typer.Option(help="Drawn ones to test on.")] = 15,
    frames: Annotated[int, typer.Option(help="Of each drawn street.")] = 3,
    epochs: Epochs = YoloSettings.epochs,
    width: Width = YoloSettings.width,
    precision: Precision = YoloSettings.precision,
    device: Device = YoloSettings.device,
    resamples: Annotated[int, typer.Option(min=2, help="Of the bootstrap.")] = RESAMPLES,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Of what is finished; train nothing.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that fuse.")] = 1,
    cache: Annotated[Path | None, typer.Option(help="Of fused images.")] = None,
) -> None:
    """Train the same detector on each input and test it in each weather.

    The table is written after every finished seed. Repeat the command to go on.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        real = data is not None
        if real != (test is not None):
            raise ValueError("expected --data and --test together, or neither to draw streets")
        pairs = PairSettings(
            classes=_names(classes),
            weathers=_names(weathers) or (REAL_WEATHERS if real else DRAWN_WEATHERS),
            side=side,
            versions=versions,
        )
        settings = YoloSettings(
            epochs=epochs, side=side, width=width, precision=precision, device=device
        )
        if start is not None and not start.is_file():
            raise FileNotFoundError(f"{start}: no such weights to begin with")
        parts = out / "pairs"
        if data is not None and test is not None:
            held = recorded_parts(data, test, parts, pairs)
        else:
            held = drawn_parts(parts, pairs, streets, test_streets, frames)
        typer.echo(held)
        inputs = make_inputs(
            parts,
            ["train", "val", *pairs.weathers],
            pairs.classes,
            read_plan(methods).methods,
            out / "inputs",
            FusedStore(cache or default_cache().with_name("fused")),
            spread=over(Workers(workers)),
        )
        if str(inputs):
            typer.echo(inputs)
        kinds = _chosen(inputs, only)
        made_of = digest([(parts / PARTS_CARD).read_bytes()])
        begin = start
        if shared_epochs:
            folders = {kind: inputs.folders[kind] for kind in kinds}
            begin = train_shared(
                folders, pairs.classes, out, settings, shared_epochs, start, made_of
            )
        plan = CellPlan(pairs.weathers, settings, begin, made_of, test_side or side)
        facts = {
            "pairs": asdict(pairs),
            "training": asdict(settings),
            "start": str(start and start.name),
            "shared_epochs": shared_epochs,
            "test_side": test_side or side,
            "held": {"pairs": held.pairs, "boxes": held.boxes},
        }
        for done in [seeds] if report_only else range(1, seeds + 1):
            bring = finished_cells if report_only else run_cells
            cells = bring(plan, inputs, kinds, range(done), out / "cells")
            comparison = compare(cells, pairs.classes, resamples=resamples)
            table = write_report(comparison, facts, out)
    except (OSError, ValueError, ModuleNotFoundError, SpreadError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    typer.echo("\n".join([*findings(comparison), str(table)]))


@app.command("start")
def make_start(
    out: Annotated[Path, typer.Option(help="Folder for streets, images and start.pt.")],
    classes: Classes = "person,bicycle,car",
    side: Side = 256,
    streets: Annotated[int, typer.Option(min=2, help="How many to draw.")] = 120,
    frames: Annotated[int, typer.Option(min=1, help="Of each street.")] = 3,
    epochs: Epochs = 16,
    width: Width = YoloSettings.width,
    precision: Precision = YoloSettings.precision,
    device: Device = YoloSettings.device,
    seed: Annotated[int, typer.Option(help="Of fresh weights.")] = 0,
) -> None:
    """Train what all detectors begin with: on drawn streets in all weathers."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        pairs = PairSettings(classes=_names(classes), weathers=DRAWN_WEATHERS, side=side)
        settings = YoloSettings(
            epochs=epochs, side=side, width=width, precision=precision, device=device
        )
        weights = train_start(out, pairs, settings, streets=streets, frames=frames, seed=seed)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    typer.echo(weights)


@app.command("detector")
def train_detector(
    experiment: Annotated[Path, typer.Argument(help="Folder of a comparison (its --out).")],
    out: Annotated[Path, typer.Argument(help="The ONNX file; .pt and .json come beside it.")],
    inputs: Annotated[
        list[str], typer.Option("--input", help="Its inputs to train on; repeat for more.")
    ],
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin with (of `start`; it is unpickled).")
    ] = None,
    side: Side = 256,
    test_side: Annotated[
        int | None, typer.Option(help="Longer side of what the file sees; as trained by default.")
    ] = None,
    epochs: Epochs = 20,
    width: Width = YoloSettings.width,
    precision: Precision = YoloSettings.precision,
    device: Device = YoloSettings.device,
    half: Annotated[bool, typer.Option("--half", help="Write half precision.")] = False,
) -> None:
    """Train a detector to ship on the images of a comparison, and say what it reaches."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = YoloSettings(
            epochs=epochs, side=side, width=width, precision=precision, device=device
        )
        scores = make_detector(
            experiment, inputs, start, out, settings, half=half, test_side=test_side
        )
    except (OSError, ValueError, ModuleNotFoundError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    for score in scores:
        typer.echo(f"{score.kind}, {score.weather}: mAP@.5 {score.map50:.3f}, {score.map:.3f}")
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@app.command("contrast")
def tell_contrast(
    experiment: Annotated[Path, typer.Argument(help="Folder of a comparison (its --out).")],
) -> None:
    """How far the objects of each class stand out in each input and weather."""
    try:
        card = read_card(experiment / "pairs")["settings"]
        classes = card["classes"]
        typer.echo(f"| weather | input | {' | '.join(classes)} | fine detail |")
        typer.echo("|---" * (len(classes) + 3) + "|")
        for weather in card["weathers"]:
            for folder in sorted(p.parent for p in experiment.glob("inputs/*/train.yaml")):
                found = contrast(folder, weather, classes)
                each = " | ".join(f"{value:.2f}" for value in found.by_class)
                typer.echo(f"| {weather} | {folder.name} | {each} | {found.fine:.1f} |")
    except (OSError, ValueError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error


@app.command("task")
def train_for_task(
    data: Annotated[Path, typer.Option(help="Labelled pairs to train on.")],
    weights: Annotated[Path, typer.Option(help="Of the size nano, to begin with.")],
    detector: Annotated[Path, typer.Option(help="A .pt of this command; it is unpickled.")],
    out: Annotated[Path, typer.Option(help="The weights file to write.")],
    weight: Annotated[
        float, typer.Option(min=0, help="Of the detector's loss; 0 switches it off.")
    ] = TaskSettings.weight,
    steps: Annotated[int, typer.Option(min=1, help="Of the training.")] = TaskSettings.steps,
    batch: Annotated[int, typer.Option(min=1, help="Pairs of a step.")] = TaskSettings.batch,
    classes: Classes = "person,bicycle,car",
) -> None:
    """Go on training a fusion with a frozen detector's loss beside its own."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        task = TaskSettings(weight=weight, steps=steps, batch=batch)
        fit(data, weights, detector, out, PairSettings(classes=_names(classes)), task)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    typer.echo(out)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _chosen(inputs: Inputs, only: list[str] | None) -> list[str]:
    if unknown := [name for name in only or () if name not in inputs.folders]:
        raise ValueError(f"--input: expected some of {', '.join(inputs.folders)}, found {unknown}")
    return [name for name in inputs.folders if not only or name in only]


if __name__ == "__main__":
    app()
