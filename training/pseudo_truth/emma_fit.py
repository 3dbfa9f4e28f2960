"""Training of EMMA's networks on clean pairs: the sensing first, then, through it, the fusion."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from amg_fuse_ros.network.checkpoint import fingerprint, save_tensors
from training.baselines import BASELINES
from training.data.pairs import PairDataset, PairFiles
from training.loop import FitSettings, Fitted, describe, fit
from training.pseudo_truth.emma import Emma, load_emma, luminance, random_transform

logger = logging.getLogger(__name__)

VALIDATION_BATCHES = 4
_TRANSFORM, _METHOD = 1, 2  # separate random streams of a step


@dataclass(frozen=True)
class EmmaSettings(FitSettings):
    """A run's settings: of its ``steps``, the first ``sensing_steps`` train A_i and A_v alone."""

    sensing_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sensing_steps < self.steps:
            raise ValueError(
                f"sensing_steps: expected 0 to {self.steps - 1}, found {self.sensing_steps}"
            )

    def stage(self, step: int) -> tuple[int, int]:
        """Sensing, then fusion: see :meth:`FitSettings.stage`."""
        if step < self.sensing_steps:
            return step, self.sensing_steps
        return step - self.sensing_steps, self.steps - self.sensing_steps


@dataclass(frozen=True)
class SensingBatch:
    """Luminance, thermal image and a fusion of both by some known method; B 1 H W."""

    visible: Tensor
    thermal: Tensor
    fused: Tensor

    def to(self, device: torch.device) -> "SensingBatch":
        """The same batch with its tensors on ``device``."""
        return SensingBatch(self.visible.to(device), self.thermal.to(device), self.fused.to(device))


class SensingDataset(Dataset[SensingBatch]):
    """Batches by step number, each a pure function of the seed and the step.

    The published training shows A_i and A_v the fusions of other networks. Here classical ones
    take their place, drawn for each sample: the project's own, a Laplacian pyramid, the maximum.
    """

    def __init__(self, pairs: Sequence[PairFiles], settings: EmmaSettings) -> None:
        self.clean_pairs = PairDataset(pairs, settings.sampling())
        self.seed = settings.seed

    def __len__(self) -> int:
        return len(self.clean_pairs)

    def __getitem__(self, step: int) -> SensingBatch:
        batch = self.clean_pairs[step]
        visible, thermal, pseudo = luminance(batch.visible), batch.thermal, luminance(batch.pseudo)
        rng = np.random.default_rng([self.seed, step, _METHOD])
        fused = [
            own if method == "own" else _fuse_by(str(method), vi, ir)
            for method, own, vi, ir in zip(
                rng.choice(["own", "laplacian", "maximum"], len(visible)),
                pseudo,
                visible,
                thermal,
                strict=True,
            )
        ]
        return SensingBatch(visible, thermal, torch.stack(fused))


def _fuse_by(method: str, visible: Tensor, thermal: Tensor) -> Tensor:
    """A baseline on 1 H W luminance in [0, 1]."""
    planes = [np.float64(plane[0].numpy()) * 255 for plane in (thermal, visible)]
    fused = np.clip(BASELINES[method](*planes) / 255, 0, 1)
    return torch.from_numpy(fused.astype(np.float32))[None]


def fit_emma(
    training: Sequence[PairFiles],
    validation: Sequence[PairFiles],
    out: Path,
    settings: EmmaSettings,
    *,
    minutes: float | None = None,
    initial: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
) -> Fitted:
    """Train EMMA's networks, or go on with them, and write their averaged weights.

    Args:
        training: Clean pairs to train on.
        validation: Clean pairs for the scores in the card; may be empty.
        out: Safetensors file, written when the function returns; the run's state lies beside it.
        settings: A run that exists must have been started with the same. ``sensing_steps`` 0
            with ``initial`` fine-tunes the fusion alone.
        minutes: Time box; ``None`` trains to the end of the schedule.
        initial: A file of these networks to start from.
        device: Where to train, as torch names it.
        workers: Processes that prepare batches.

    Raises:
        ValueError: If the run was started with other settings, its state cannot be read, or
            fresh sensing networks would stay untrained.
        WeightsError: If ``initial`` holds something else.
        TrainingDivergedError: If the loss is no longer finite.
    """
    held_out = SensingDataset(validation, _for_validation(settings)) if validation else None
    torch.manual_seed(settings.seed)
    emma = Emma()
    if initial is not None:
        state = load_emma(initial).state_dict()
        emma.load_state_dict(state)
        settings = replace(settings, initial=fingerprint(state))
    elif settings.sensing_steps == 0:
        raise ValueError("sensing_steps: expected 1 or more without initial weights, found 0")
    emma = emma.to(device).to(memory_format=torch.channels_last)

    def terms(batch: SensingBatch, step: int) -> Mapping[str, Tensor]:
        if step < settings.sensing_steps:
            return emma.sensing_terms(batch.fused, batch.visible, batch.thermal)
        rng = np.random.default_rng([settings.seed, step, _TRANSFORM])
        return emma.fusion_terms(batch.visible, batch.thermal, random_transform(rng))

    fitted = fit(
        emma,
        SensingDataset(training, settings),
        terms,
        out,
        settings,
        minutes=minutes,
        device=device,
        workers=workers,
    )
    emma.load_state_dict(fitted.average)
    if fitted.step <= settings.sensing_steps:
        logger.warning("%s: the fusion is not trained yet, only the sensing is", out)
    card = {
        "kind": "EMMA",
        "task": "label-free fusion of clean luminance pairs",
        **describe(fitted, settings, training),
        "validation": score(emma.eval(), held_out) if held_out else {},
    }
    save_tensors(fitted.average, out, card)
    return fitted


def _for_validation(settings: EmmaSettings) -> EmmaSettings:
    return replace(settings, seed=settings.seed + 1, steps=VALIDATION_BATCHES, sensing_steps=0)


@torch.inference_mode()
def score(emma: Emma, data: SensingDataset) -> dict[str, float]:
    """Mean losses over ``data``: ``sensing_*`` of A_i and A_v, ``fusion_*`` of the fusion."""
    device = next(emma.parameters()).device
    sums: dict[str, float] = {}
    for step in range(len(data)):
        batch = data[step].to(device)
        rng = np.random.default_rng([data.seed, step, _TRANSFORM])
        sensing = emma.sensing_terms(batch.fused, batch.visible, batch.thermal)
        fusion = emma.fusion_terms(batch.visible, batch.thermal, random_transform(rng))
        for stage, terms in (("sensing", sensing), ("fusion", fusion)):
            for name, value in terms.items():
                key = f"{stage}_{name}"
                sums[key] = sums.get(key, 0.0) + float(value)
    return {key: round(total / len(data), 5) for key, total in sums.items()}
