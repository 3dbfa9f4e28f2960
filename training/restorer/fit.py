"""Training of the small restorer: degraded visible crops to clean ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from amg_fuse_ros.network.checkpoint import WeightsError, fingerprint, save_tensors
from training.data.pairs import PairFiles
from training.image_distance import l1_and_gradient
from training.loop import FitSettings, Fitted, describe, fit
from training.restorer.samples import RestorationBatch, RestorationDataset
from training.restorer.small import SmallRestorer
from training.restorer.weights import load_restorer

VALIDATION_BATCHES = 6


def fit_restorer(
    training: Sequence[PairFiles],
    validation: Sequence[PairFiles],
    out: Path,
    settings: FitSettings,
    *,
    minutes: float | None = None,
    initial: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
) -> Fitted:
    """Train a :class:`SmallRestorer`, or go on with one, and write its averaged weights.

    Args:
        training: Clean pairs to train on.
        validation: Clean pairs for the scores in the card; may be empty.
        out: Safetensors file, written when the function returns; the run's state lies beside it.
        settings: A run that exists must have been started with the same.
        minutes: Time box; ``None`` trains to the end of the schedule.
        initial: A small restorer's file to start from.
        device: Where to train, as torch names it.
        workers: Processes that prepare batches.

    Raises:
        ValueError: If the run was started with other settings or its state cannot be read.
        WeightsError: If ``initial`` is not a small restorer.
        TrainingDivergedError: If the loss is no longer finite.
    """
    held_out = RestorationDataset(validation, _for_validation(settings)) if validation else None
    torch.manual_seed(settings.seed)
    model = SmallRestorer()
    if initial is not None:
        loaded = load_restorer(initial)
        if not isinstance(loaded, SmallRestorer):
            raise WeightsError(f"{initial}: expected a small restorer, found the published one")
        model.load_state_dict(loaded.state_dict())
        settings = replace(settings, initial=fingerprint(loaded.state_dict()))
    model = model.to(device).to(memory_format=torch.channels_last)

    def terms(batch: RestorationBatch, step: int) -> Mapping[str, Tensor]:
        del step
        return {"restoration": l1_and_gradient(model(batch.degraded), batch.clean)}

    fitted = fit(
        model,
        RestorationDataset(training, settings),
        terms,
        out,
        settings,
        minutes=minutes,
        device=device,
        workers=workers,
    )
    model.load_state_dict(fitted.average)
    card = {
        "kind": "small restorer",
        "task": "degraded visible image to clean one, bare or behind a fusion mask",
        **describe(fitted, settings, training),
        "validation": score(model.eval(), held_out) if held_out else {},
    }
    save_tensors(fitted.average, out, card)
    return fitted


def _for_validation(settings: FitSettings) -> FitSettings:
    return replace(settings, seed=settings.seed + 1, batch=4, steps=VALIDATION_BATCHES)


@torch.inference_mode()
def score(model: SmallRestorer, data: RestorationDataset) -> dict[str, float]:
    """How well ``model`` restores the crops of ``data``.

    Returns:
        ``psnr_degraded`` and ``psnr_restored`` against the clean crops (dB, of the mean squared
        error over all crops), and ``change_of_clean``, the mean |R(x) - x| for clean ones.
    """
    device = next(model.parameters()).device
    sums = torch.zeros(3)
    for step in range(len(data)):
        batch = data[step].to(device)
        restored = model(batch.degraded)
        sums += torch.stack(
            [
                (batch.degraded - batch.clean).square().mean(),
                (restored - batch.clean).square().mean(),
                (model(batch.clean) - batch.clean).abs().mean(),
            ]
        ).cpu()
    before, after, change = (sums / len(data)).tolist()
    return {
        "psnr_degraded": round(_psnr(before), 2),
        "psnr_restored": round(_psnr(after), 2),
        "change_of_clean": round(change, 5),
    }


def _psnr(mean_squared_error: float) -> float:
    return float(-10 * torch.log10(torch.tensor(max(mean_squared_error, 1e-12))))
