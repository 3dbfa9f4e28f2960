"""From pixels counted to IoU with intervals, and what fusion gains over one camera alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.detection.inputs import CAMERAS
from training.detection.scores import ALL, RESAMPLES, Estimate, Floats, estimate
from training.segmentation.learning import Segmented, intersection_over_union

Table = Mapping[str, Mapping[int, Mapping[str, Sequence[Segmented]]]]
"""What networks said, by input kind, seed and weather."""


@dataclass(frozen=True)
class Row:
    """One input kind in one weather; ``classes`` holds the IoU of each, NaN for absent ones."""

    kind: str
    miou: Estimate
    classes: tuple[float, ...]
    gain: Estimate | None = None
    better: str = ""


def compare(table: Table, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, list[Row]]:
    """Compare input kinds by mean IoU, resampled over seeds and images as detectors are.

    Args:
        table: Networks that saw the same images under the same seeds.
        resamples: How many.
        seed: Of the resampling.

    Returns:
        Rows by weather; `ALL` is the mean over the weathers.

    Raises:
        ValueError: Two networks saw different images, or no seed is finished for all kinds.
    """
    seeds = sorted(set.intersection(*(set(ones) for ones in table.values()))) if table else []
    if not seeds:
        raise ValueError("no seed is finished for every input kind yet")
    first = next(iter(table.values()))[seeds[0]]
    weathers = list(first)
    names = [one.name for one in first[weathers[0]]]
    for kind, ones in table.items():
        for number in seeds:
            for weather in weathers:
                if [one.name for one in ones[number][weather]] != names:
                    raise ValueError(f"{kind}, seed {number}, {weather}: other images than before")
    rng = np.random.default_rng(seed)
    draws = [
        (rng.integers(0, len(seeds), len(seeds)), rng.integers(0, len(names), len(names)))
        for _ in range(resamples)
    ]
    means: dict[tuple[str, str], float] = {}
    samples: dict[tuple[str, str], Floats] = {}
    by_class: dict[tuple[str, str], Floats] = {}
    for kind, ones in table.items():
        for weather in weathers:
            # Seeds x images x classes x classes.
            counts = np.array([[one.counts for one in ones[n][weather]] for n in seeds])
            ious = np.array([intersection_over_union(list(of_seed)) for of_seed in counts])
            by_class[kind, weather] = ious.mean(axis=0)
            means[kind, weather] = float(np.nanmean(by_class[kind, weather]))
            samples[kind, weather] = np.array(
                [
                    np.mean([np.nanmean(intersection_over_union([c])) for c in drawn])
                    for who, which in draws
                    for drawn in [counts[who][:, which].sum(axis=1)]
                ]
            )
        means[kind, ALL] = float(np.mean([means[kind, weather] for weather in weathers]))
        samples[kind, ALL] = np.mean([samples[kind, weather] for weather in weathers], axis=0)
        by_class[kind, ALL] = np.mean([by_class[kind, weather] for weather in weathers], axis=0)
    return {
        weather: [_row(kind, weather, means, samples, by_class) for kind in table]
        for weather in [*weathers, ALL]
    }


def markdown(rows: Mapping[str, Sequence[Row]], classes: Sequence[str]) -> str:
    """The table for reading; IoU in percent."""
    lines = [
        f"| weather | input | mIoU | gain | {' | '.join(classes)} |",
        "|---|---|---|---|" + "---|" * len(classes),
    ]
    for weather, found in rows.items():
        for row in found:
            gain = "" if row.gain is None else f"{_percent(row.gain, '+')} over {row.better}"
            each = " | ".join("-" if np.isnan(iou) else f"{100 * iou:.1f}" for iou in row.classes)
            lines.append(f"| {weather} | {row.kind} | {_percent(row.miou)} | {gain} | {each} |")
    return "\n".join(lines) + "\n"


def _row(
    kind: str,
    weather: str,
    means: Mapping[tuple[str, str], float],
    samples: Mapping[tuple[str, str], Floats],
    by_class: Mapping[tuple[str, str], Floats],
) -> Row:
    mean = estimate(means[kind, weather], samples[kind, weather])
    each = tuple(float(iou) for iou in by_class[kind, weather])
    cameras = [camera for camera in CAMERAS if (camera, weather) in means]
    if kind in CAMERAS or not cameras:
        return Row(kind, mean, each)
    better = max(cameras, key=lambda camera: means[camera, weather])
    gain = estimate(
        means[kind, weather] - means[better, weather],
        samples[kind, weather] - samples[better, weather],
    )
    return Row(kind, mean, each, gain, better)


def _percent(value: Estimate, sign: str = "") -> str:
    mean = f"{100 * value.mean:{sign}.1f}"
    if np.isnan(value.low):
        return mean
    return f"{mean} [{100 * value.low:{sign}.1f}, {100 * value.high:{sign}.1f}]"
