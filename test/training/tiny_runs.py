"""Runs that take seconds: pairs of 64x48, crops of 16 pixels, a few steps."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from pair_trees import plain

from training.config import LossWeights, TrainingConfig
from training.data.pairs import find_pairs, split_by_scene
from training.trainer import Inputs

ROOT = Path(__file__).resolve().parents[2]
STEMS = [str(1000 * number) for number in range(6)]

LOSSES = LossWeights(gradient=10, color=20, intensity=10, ssim=10, mgls=5, mgls_final=1, pseudo=5)
CONFIG = TrainingConfig(
    crop=16, batch=2, steps=3, warmup_steps=1, validate_every=0, losses=LOSSES, seed=1
)


def make_inputs(folder: Path, **others: object) -> Inputs:
    """Five pairs to train on and one of another scene."""
    if not folder.is_dir():
        plain(folder, STEMS)
    training, validation = split_by_scene(find_pairs(folder))
    return Inputs(training, validation, **others)


def settings(config: TrainingConfig) -> list[str]:
    """The command line's options for a configuration that starts from the default preset."""
    values = config.to_dict()
    losses = values.pop("losses")
    named = {**values, **{f"losses.{name}": value for name, value in losses.items()}}
    return [part for name, value in named.items() for part in ("--set", f"{name}={_yaml(value)}")]


def _yaml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def start(*arguments: str, module: str = "training.fit", **options: object) -> subprocess.Popen:
    """Start ``python -m MODULE ARGUMENTS`` with one thread, as the tests themselves run."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def read_log(run: Path) -> list[dict]:
    path = run / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def losses(run: Path) -> dict[int, float]:
    """Loss by step; fails where a step appears twice."""
    entries = [entry for entry in read_log(run) if "loss" in entry]
    by_step = {entry["step"]: entry["loss"] for entry in entries}
    assert len(by_step) == len(entries)
    return by_step


def wait_until(condition, process: subprocess.Popen, limit_s: float = 120.0) -> None:
    """Wait for a condition as long as the process lives; fails with its output otherwise."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"did not come to pass:\n{process.communicate()[0]}")
        time.sleep(0.001)
