"""Time what a sample costs: ``python -m training.data.loading_speed --data DIR``.

Processor time of one process on one core, so that what else the machine does is not counted. A
device that trains on N samples a second waits for none with N x (seconds a sample) processes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from training.config import TrainingConfig
from training.data.degradations import degrade
from training.data.images import read_images
from training.data.pairs import PairDataset, find_pairs, random_crop
from training.pseudo_truth.classical import fuse_classical


def time_loading(dataset: PairDataset, samples: int) -> float:
    """Milliseconds that one sample of the dataset takes, the first batch not counted."""
    dataset[0]
    steps = max(samples // dataset.share, 1)
    return _milliseconds(lambda step: dataset[1 + step], steps) / dataset.share


def time_parts(dataset: PairDataset, samples: int) -> dict[str, float]:
    """Milliseconds of each part of a sample: read from disk, crop, degrade, fuse."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(dataset.pairs), samples, p=dataset.probabilities)
    images = [read_images(dataset.pairs[i]) for i in chosen]
    crops = [random_crop(i.visible, i.thermal, dataset.config, rng) for i in images]
    parts: dict[str, Callable[[int], object]] = {
        "read from disk": lambda s: read_images(dataset.pairs[chosen[s]]),
        "crop": lambda s: random_crop(images[s].visible, images[s].thermal, dataset.config, rng),
        "degrade": lambda s: degrade(*crops[s], rng),
        "pseudo ground truth": lambda s: fuse_classical(*crops[s]),
    }
    return {name: _milliseconds(part, samples) for name, part in parts.items()}


def _milliseconds(run: Callable[[int], object], times: int) -> float:
    began = time.process_time()
    for number in range(times):
        run(number)
    return (time.process_time() - began) / times * 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the times as the command line says; 0 on success, 1 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m training.data.loading_speed")
    parser.add_argument("--data", type=Path, required=True, help="folder of pairs")
    parser.add_argument("--config", default="default", help="preset or YAML file (default)")
    parser.add_argument("--crop", type=int, default=168, help="side of the crops in pixels (168)")
    parser.add_argument("--samples", type=int, default=200, help="samples to time (200)")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        config = replace(TrainingConfig.load(options.config), crop=options.crop)
        pairs = find_pairs(options.data)
        in_memory = PairDataset(pairs, config)
        from_disk = PairDataset(pairs, config, memory_limit=0)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    megabytes = in_memory.images.kept_bytes / 2**20
    side = f"{config.crop} x {config.crop}"
    rows = {
        f"sample of {side}, images in memory": time_loading(in_memory, options.samples),
        f"sample of {side}, images from disk": time_loading(from_disk, options.samples),
        **{f"  {name}": ms for name, ms in time_parts(in_memory, options.samples).items()},
    }
    print(  # noqa: T201
        f"{len(in_memory.pairs)} pairs, {in_memory.images.kept} of them in memory "
        f"({megabytes:.0f} MiB); one process, one core"
    )
    for name, milliseconds in rows.items():
        print(f"{name:<44} {milliseconds:7.2f} ms")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
