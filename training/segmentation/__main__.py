"""``python -m training.segmentation``: what fusion gains a segmentation network.

The layout of the paper's table 8: the same network for each camera alone and each fusion, IoU class
by class; with drawn streets where MSRS is not at hand.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from amg_fuse_ros.spread import SpreadError, Workers
from training.benchmark.fusing import folder_name, over
from training.benchmark.identity import FusedStore, digest, write_whole
from training.benchmark.methods import read_plan
from training.detection.__main__ import METHODS
from training.detection.drawn import drawn_parts
from training.detection.inputs import Inputs, make_inputs
from training.detection.parts import DRAWN_WEATHERS, PARTS_CARD, REAL_WEATHERS, PairSettings
from training.detection.scores import RESAMPLES
from training.metrics.folder import default_cache
from training.segmentation.learning import SegmentationSettings, Segmented, look, train
from training.segmentation.msrs import CLASSES, msrs_parts
from training.segmentation.scores import compare, markdown

DRAWN_CLASSES = ("person", "bicycle", "car")
BACKGROUND = "background"

logger = logging.getLogger(__name__)
app = typer.Typer(add_completion=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder of the experiment; an existing one goes on.")],
    data: Annotated[
        Path | None, typer.Option(help="MSRS, to train and test on; without: drawn streets.")
    ] = None,
    methods: Annotated[Path, typer.Option(help="YAML: what fuses; docs/evaluation.md.")] = METHODS,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each input.")] = 3,
    weathers: Annotated[str, typer.Option(help="Those to test in; all by default.")] = "",
    side: Annotated[int, typer.Option(help="Longer side of the images in pixels.")] = 256,
    streets: Annotated[int, typer.Option(help="Drawn ones to train on.")] = 60,
    test_streets: Annotated[int, typer.Option(help="Drawn ones to test on.")] = 15,
    frames: Annotated[int, typer.Option(help="Of each drawn street.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 8,
    batch: Annotated[int, typer.Option(min=2, help="Images of a step.")] = 8,
    device: Annotated[str, typer.Option(help="cpu, or cuda (untried).")] = "cpu",
    resamples: Annotated[int, typer.Option(min=2, help="Of the bootstrap.")] = RESAMPLES,
    workers: Annotated[int, typer.Option(min=1, help="Processes that fuse.")] = 1,
    cache: Annotated[Path | None, typer.Option(help="Of fused images.")] = None,
) -> None:
    """Train the same network on each input and test it in each weather.

    The table is written after every finished seed. Repeat the command to go on.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        known = DRAWN_WEATHERS if data is None else REAL_WEATHERS
        chosen = tuple(name.strip() for name in weathers.split(",") if name.strip()) or known
        names = DRAWN_CLASSES if data is None else CLASSES
        pairs = PairSettings(classes=names, weathers=chosen, side=side)
        # Four to three, in multiples of what the network's strides take.
        height, width = max(side * 3 // 4 // 32, 1) * 32, max(side // 32, 1) * 32
        settings = SegmentationSettings(epochs, height, width, batch, device=device)
        parts = out / "pairs"
        if data is None:
            held = drawn_parts(parts, pairs, streets, test_streets, frames, segmented=True)
        else:
            held = msrs_parts(data, parts, pairs)
        typer.echo(held)
        inputs = make_inputs(
            parts,
            ["train", "val", *chosen],
            names,
            read_plan(methods).methods,
            out / "inputs",
            FusedStore(cache or default_cache().with_name("fused")),
            spread=over(Workers(workers)),
        )
        if str(inputs):
            typer.echo(inputs)
        runs = _Runs(parts, inputs, chosen, len(names) + 1, settings, out / "cells")
        table: dict[str, dict[int, Mapping[str, Sequence[Segmented]]]]
        table = {kind: {} for kind in inputs.folders}
        for seed in range(seeds):
            for kind, ones in table.items():
                ones[seed] = runs.bring(kind, seed)
            rows = compare(table, resamples=resamples)
            text = markdown(rows, (BACKGROUND, *names))
            write_whole(out / "segmentation.md", text.encode())
            content = {weather: [asdict(row) for row in found] for weather, found in rows.items()}
            write_whole(out / "segmentation.json", json.dumps(content, indent=1).encode())
    except (OSError, ValueError, ModuleNotFoundError, SpreadError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    typer.echo(f"{text}{out / 'segmentation.md'}")


class _Runs:
    """Trainings and tests of an experiment; finished ones are kept as JSON."""

    def __init__(
        self,
        parts: Path,
        inputs: Inputs,
        weathers: Sequence[str],
        classes: int,
        settings: SegmentationSettings,
        out: Path,
    ) -> None:
        self._parts, self._inputs, self._weathers = parts, inputs, weathers
        self._classes, self._settings, self._out = classes, settings, out
        self._card = (parts / PARTS_CARD).read_bytes()

    def bring(self, kind: str, seed: int) -> dict[str, list[Segmented]]:
        """What the network of a kind and seed said, by weather; trained where it is not there."""
        facts = (asdict(self._settings), self._inputs.keys[kind], self._inputs.left_out)
        key = digest([self._card, *(repr(fact).encode() for fact in facts)])
        path = self._out / f"{folder_name(kind)}-s{seed}.json"
        try:
            kept = json.loads(path.read_text("utf-8"))
            if kept["key"] == key and set(self._weathers) <= kept["said"].keys():
                return {
                    weather: [
                        Segmented(name, np.array(counts)) for name, counts in kept["said"][weather]
                    ]
                    for weather in self._weathers
                }
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            logger.warning("%s cannot be read: done again", path)
        images = self._inputs.folders[kind] / "images"
        network = train(
            images / "train",
            self._parts / "train" / "classes",
            self._classes,
            self._settings,
            seed=seed,
        )
        said = {
            weather: look(
                network, images / weather, self._parts / weather / "classes", self._classes
            )
            for weather in self._weathers
        }
        content = {
            "key": key,
            "said": {
                weather: [(one.name, one.counts.tolist()) for one in ones]
                for weather, ones in said.items()
            },
        }
        write_whole(path, json.dumps(content).encode())
        return said


if __name__ == "__main__":
    app()
