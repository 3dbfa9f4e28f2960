"""The settings of a training run: one dataclass, read from a preset and kept with the run."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class LossWeights:
    """What each term of the loss is multiplied with; 0 leaves it out."""

    gradient: float = 1.0
    color: float = 1.0
    mgls: float = 1.0
    """lambda of equation 12 at the first step; see ``mgls_final``."""
    mgls_final: float = 1.0
    """lambda at the last step; between the two it falls linearly with the steps."""
    intensity: float = 0.0
    ssim: float = 0.0
    pseudo: float = 0.0
    """Mean |F - pseudo ground truth|, a direct supervision of this project's own."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what a run computes.

    Raises:
        ValueError: If a value makes no sense.
    """

    size: str = "tiny"
    seed: int = 0
    crop: int = 168
    """Side of the square patches in pixels, a multiple of 8."""
    batch: int = 2
    """Pairs per step, over all processes together."""
    steps: int = 10_000
    """Length of the learning-rate schedule in optimiser steps."""
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    warmup_steps: int = 50
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    rescale: tuple[float, float] = (1.0, 1.0)
    """Random scale of the images before the crop, smallest and largest."""
    degrade: bool = True
    losses: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.crop < 16 or self.crop % 8:
            raise ValueError(f"crop: expected a multiple of 8 from 16 on, found {self.crop}")
        if self.batch < 1 or self.steps < 1:
            raise ValueError(f"expected batch and steps >= 1, found {self.batch}, {self.steps}")
        if not 0 < self.rescale[0] <= self.rescale[1]:
            raise ValueError(f"rescale: expected 0 < smallest <= largest, found {self.rescale}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainingConfig":
        """Build from plain values, as YAML gives them; an unknown name is a ValueError."""
        values = dict(values)
        losses = values.pop("losses", {})
        _refuse_unknown(cls, values)
        _refuse_unknown(LossWeights, losses)
        if "rescale" in values:
            values["rescale"] = tuple(values["rescale"])
        return cls(losses=LossWeights(**losses), **values)

    @classmethod
    def load(cls, preset: str) -> "TrainingConfig":
        """Read a preset by name (``default``) or a YAML file by path.

        Raises:
            FileNotFoundError: If there is neither.
            ValueError: If the file holds unknown names or impossible values.
        """
        path = PRESETS / f"{preset}.yaml"
        if not path.is_file():
            path = Path(preset)
        if not path.is_file():
            known = sorted(p.stem for p in PRESETS.glob("*.yaml"))
            raise FileNotFoundError(f"expected a preset among {known} or a file, found {preset!r}")
        values = yaml.safe_load(path.read_text()) or {}
        try:
            return cls.from_dict(values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the inverse of :meth:`from_dict`."""
        return asdict(self)


def _refuse_unknown(cls: type, values: dict[str, Any]) -> None:
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown names {unknown}; known are {sorted(known)}")
