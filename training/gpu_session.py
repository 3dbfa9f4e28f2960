"""``python -m training.gpu_session JOB OUT``: train on a GPU machine what a job folder holds.

The job is made by :mod:`training.gpu_job`. Beyond torch and numpy only what the job brings along
is needed.
"""

import argparse
import importlib.util
import json
import logging
import os
import shutil
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training.config import TrainingConfig
from training.packed_checkpoint import PACKED, from_bytes, unpack, write_parts
from training.run_folder import LAST
from training.schedule import TrainingDivergedError, save_whole

logger = logging.getLogger(__name__)

JOB = "job.json"
DATA = "data.tar"
NEEDED = ("cv2", "lightning_fabric", "rich", "safetensors", "yaml")
FILLED = 0.85
"""Share of the card's memory to use: the rest is for fragments and other shapes."""
_PROBE = (2, 6)
_TRIES = 4


def missing_packages() -> list[str]:
    """Modules that training needs and this machine lacks."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def fill_card(
    config: TrainingConfig, precision: str, restorer: Path | None = None
) -> TrainingConfig:
    """The same settings with the largest batch that the card holds, a multiple of 4.

    Two small steps are taken and the memory is extrapolated from what they needed. On the CPU
    the batch stays.
    """
    if not torch.cuda.is_available():
        return config
    from training.restorer import load_restorer
    from training.timed_steps import Case, accelerated_step

    peaks = []
    for batch in _PROBE:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        case = Case(replace(config, batch=batch), "cuda", precision)
        accelerated_step(case, load_restorer(restorer) if restorer else None)()
        peaks.append(torch.cuda.max_memory_allocated())
    torch.cuda.empty_cache()
    each = (peaks[1] - peaks[0]) / (_PROBE[1] - _PROBE[0])
    free, _ = torch.cuda.mem_get_info()
    room = (FILLED * free - (peaks[0] - _PROBE[0] * each)) / each
    batch = max(config.batch, int(room) // 4 * 4)
    logger.info("%.2f GiB a sample: batch %d", each / 2**30, batch)
    return replace(config, batch=batch)


def run_job(job: Path, out: Path, work: Path, **overrides: Any) -> int:
    """Train, and leave the run's parts in ``out``.

    Args:
        job: The job folder.
        out: Where the parts go.
        work: A folder for what is unpacked.
        overrides: Entries of ``job.json`` to replace: minutes, accelerator, precision, fill.

    Returns:
        The exit status: 0, or 1 where training stopped because of an error.
    """
    told = {**json.loads((job / JOB).read_text()), **overrides}
    with tarfile.open(job / DATA) as archive:
        archive.extractall(work / "data", filter="data")
    run = work / "run"
    config = _prepare_run(job, run, told)
    status = 1
    for _ in range(_TRIES):
        try:
            _train(config, work / "data" / told["data"], run, job, told)
            status = 0
        except torch.OutOfMemoryError:
            if told["fill"] and not (run / LAST).is_file():
                config = replace(config, batch=max(4, config.batch * 3 // 16 * 4))
                logger.info("out of memory: batch %d instead", config.batch)
                continue
            logger.exception("error: out of memory")
        except (TrainingDivergedError, OSError, ValueError) as error:
            logger.error("error: %s", error)
        break
    if (run / LAST).is_file():
        for path in write_parts(run, out, told["part_bytes"]):
            logger.info("%s: %.1f MiB", path.name, path.stat().st_size / 2**20)
    return status


def _prepare_run(job: Path, run: Path, told: dict[str, Any]) -> TrainingConfig:
    """The run's folder and its settings: those of its checkpoint, or the job's."""
    run.mkdir(parents=True)
    if (job / PACKED).is_file():
        content = unpack(from_bytes((job / PACKED).read_bytes(), job / PACKED))
        save_whole(content, run / LAST)
        for name in ("run.json", "log.jsonl"):
            if (job / name).is_file():
                shutil.copy(job / name, run / name)
        config = TrainingConfig.from_dict(content["config"])
        logger.info("going on at step %d, batch %d", content["step"], config.batch)
        return config
    config = TrainingConfig.from_dict(told["config"])
    restorer = job / told["restorer"] if told.get("restorer") else None
    return fill_card(config, told["precision"], restorer) if told["fill"] else config


def _train(config: TrainingConfig, data: Path, run: Path, job: Path, told: dict[str, Any]) -> None:
    from training.data.pairs import find_pairs, split_by_scene
    from training.trainer import Inputs, Session, train

    if config.validate_every and importlib.util.find_spec("scipy") is None:
        logger.info("scipy is not here: no validation in this session")
        config = replace(config, validate_every=0)
    training, validation = split_by_scene(find_pairs(data))
    given = {name: job / told[name] for name in ("initial_weights", "restorer") if told.get(name)}
    if (run / LAST).is_file():
        given.pop("initial_weights", None)
    state = train(
        config,
        Inputs(training, validation, **given),
        run,
        Session(
            minutes=told["minutes"],
            accelerator=told["accelerator"],
            precision=told["precision"],
            workers=max(1, (os.cpu_count() or 2) - 2),
            save_every_s=60.0,
        ),
    )
    logger.info("step %d of %d, score %s", state.step, config.steps, state.scores.get("score"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.gpu_session")
    parser.add_argument("job", type=Path, help="the job folder")
    parser.add_argument("out", type=Path, help="where the checkpoint's parts go")
    parser.add_argument("--work", type=Path, default=Path.cwd(), help="for what is unpacked")
    parser.add_argument("--minutes", type=float, help="instead of the job's")
    parser.add_argument("--accelerator", help="instead of the job's: cpu, cuda")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if missing := missing_packages():
        logger.error(
            "error: %s missing on this machine: pack the job with wheels (--wheels all)", missing
        )
        return 1
    named = {"minutes": options.minutes, "accelerator": options.accelerator}
    overrides = {name: value for name, value in named.items() if value is not None}
    return run_job(options.job, options.out, options.work, **overrides)


if __name__ == "__main__":
    sys.exit(main())
