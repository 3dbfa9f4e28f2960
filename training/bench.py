"""``python -m training.bench``: a training step as it is done here against a plain one.

Plain means :mod:`amg_fuse_ros.network.plain` in float32 and torch's default memory layout, with
the C library's usual allocator. Each of the two has a process of its own; they take turns step by
step, so that a change of the machine's pace meets both. Ratios are what counts: absolute times
differ from machine to machine and hour to hour.
"""

import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer

from amg_fuse_ros.allocator import keep_big_blocks
from training.config import TrainingConfig
from training.data.loading_speed import time_loading
from training.data.pairs import PairDataset, find_pairs
from training.timed_steps import Case, Step, accelerated_step, plain_step

SAME = 0.02
"""Largest relative difference of the first losses; the mask's quotient magnifies rounding."""

DEFAULT_SPIN = "300000"
"""What GNU's OpenMP does where it is told nothing; see ``training/__init__.py``."""

app = typer.Typer(add_completion=False)


STEPS: dict[str, Callable[[Case], Step]] = {"plain": plain_step, "accelerated": accelerated_step}


def serve(name: str, case: Case, orders: Connection) -> None:
    """Do a step for every order, and answer (loss, seconds); ends at an order of ``None``."""
    if name == "accelerated":
        keep_big_blocks()
    if case.threads:
        torch.set_num_threads(case.threads)
    step = STEPS[name](case)
    while orders.recv() is not None:
        began = time.perf_counter()
        loss = step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        orders.send((loss, time.perf_counter() - began))


@contextmanager
def _environment(**values: str | None) -> Iterator[None]:
    """Environment variables for processes started meanwhile; ``None`` leaves one as it is."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Worker:
    """A process that does steps of one kind when told."""

    def __init__(self, name: str, case: Case) -> None:
        self.name = name
        # A forked process would share the parent's heap and what its OpenMP has read.
        context = multiprocessing.get_context("spawn")
        self._orders, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(name, case, theirs), daemon=True)
        with _environment(GOMP_SPINCOUNT=DEFAULT_SPIN if name == "plain" else None):
            self._process.start()
        theirs.close()

    def step(self) -> tuple[float, float]:
        try:
            self._orders.send("step")
            answer: tuple[float, float] = self._orders.recv()
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError(f"the {self.name} step failed, see above") from error
        return answer

    def end(self) -> None:
        if self._process.is_alive():
            self._orders.send(None)
            self._process.join(timeout=20)
        if self._process.is_alive():
            self._process.terminate()


def compare(case: Case, rounds: int, warm_up: int = 2) -> dict[str, Any]:
    """Time both steps in turn.

    Args:
        case: What to time.
        rounds: Timed steps of each; one step more is compared, and ``warm_up`` are not counted.
        warm_up: Steps until caches are warm and loops compiled.

    Returns:
        For each its ``seconds`` (a list), ``median_s`` and ``samples_per_s``; and ``ratio``, the
        median of the rounds' ratios. JSON-ready.

    Raises:
        RuntimeError: If the two do not compute the same loss, or one of them fails.
    """
    workers: list[_Worker] = []
    seconds: dict[str, list[float]] = {name: [] for name in STEPS}
    try:
        workers.extend(_Worker(name, case) for name in STEPS)
        first = {worker.name: worker.step()[0] for worker in workers}
        values = list(first.values())
        if max(values) - min(values) > SAME * abs(values[0]):
            raise RuntimeError(f"expected equal losses in the first step, found {first}")
        for number in range(warm_up + rounds):
            for worker in workers:
                _, taken = worker.step()
                if number >= warm_up:
                    seconds[worker.name].append(taken)
    finally:
        for worker in workers:
            worker.end()
    result: dict[str, Any] = {"first_losses": first}
    for name, taken_all in seconds.items():
        median = statistics.median(taken_all)
        result[name] = {
            "seconds": taken_all,
            "median_s": median,
            "samples_per_s": case.config.batch / median,
        }
    ratios = (p / a for p, a in zip(seconds["plain"], seconds["accelerated"], strict=True))
    result["ratio"] = statistics.median(ratios)
    return result


def loading_ms(config: TrainingConfig, data: Path | None, samples: int) -> float:
    """Processor time in milliseconds that one sample takes on one core.

    Args:
        config: Crop and augmentation.
        data: Folder of pairs; ``None`` makes up pairs of 640 x 480 for the purpose.
        samples: How many to time.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if data is None:
            _write_pairs(Path(scratch))
        pairs = find_pairs(data or Path(scratch))
        return time_loading(PairDataset(pairs, replace(config, steps=samples + 1)), samples)


def _write_pairs(folder: Path, count: int = 4) -> None:
    rng = np.random.default_rng(0)
    for name, channels in (("ir", 1), ("vi", 3)):
        (folder / name).mkdir()
        for number in range(count):
            small = rng.integers(0, 256, (30, 40, channels), np.uint8)
            image = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / name / f"{1000 * number}.png"), image)


def report(case: Case, result: dict[str, Any]) -> str:
    """The result for people."""
    config = case.config
    lines = [
        f"A training step of {config.size}, {config.crop}x{config.crop}, batch {config.batch}, "
        f"{case.accelerator}, medians of {len(result['plain']['seconds'])}:"
    ]
    for name, told in (("plain", "32-true"), ("accelerated", case.precision)):
        row = result[name]
        samples = f"{row['samples_per_s']:.2f} samples/s"
        lines.append(f"  {name:<12} {told:<11} {row['median_s']:7.3f} s  {samples}")
    lines.append(f"  {result['ratio']:.2f} times as fast")
    if "loading_ms" in result:
        cost = result["loading_ms"]
        busy = result["accelerated"]["samples_per_s"] * cost / 1e3
        lines.append(
            f"  loading: {cost:.1f} ms a sample on one core; the accelerated step keeps one "
            f"loading process busy {100 * busy:.0f} % of the time"
        )
    return "\n".join(lines)


@app.command()
def main(
    data: Annotated[Path | None, typer.Option(help="Pairs to time the loading of.")] = None,
    config: Annotated[str, typer.Option(help="Preset for the losses and the rest.")] = "default",
    size: Annotated[str, typer.Option(help="tiny or full.")] = "tiny",
    crop: Annotated[int, typer.Option(help="Side of the crops in pixels.")] = 168,
    batch: Annotated[int, typer.Option(help="Pairs per step.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Timed steps of each kind.")] = 7,
    accelerator: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Samples to load.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time a full training step, accelerated against plain, and the loading of a sample."""
    try:
        settings: Sequence[str] = (
            "losses.tdas=0",
            f"size={size}",
            f"crop={crop}",
            f"batch={batch}",
        )
        case = Case(TrainingConfig.load(config, settings), accelerator, precision, threads)
        result = compare(case, rounds)
        result["loading_ms"] = loading_ms(case.config, data, samples)
    except (OSError, ValueError, RuntimeError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(result, indent=1) if as_json else report(case, result))


if __name__ == "__main__":
    app()
