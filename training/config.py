"""The settings of a training run: one dataclass, read from a preset and kept with the run."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

PRESETS = Path(__file__).parent / "presets"

CROSS_ATTENTIONS = ("mcca", "sum", "none")


@dataclass(frozen=True)
class LossWeights:
    """What each term of the loss is multiplied with; 0 leaves it out.

    Raises:
        ValueError: If a weight is negative.
    """

    gradient: float = 1.0
    color: float = 1.0
    mgls: float = 1.0
    """lambda of equation 12 at the first step; see ``mgls_final``."""
    mgls_final: float = 1.0
    """lambda at the last step; between the two it falls linearly with the steps."""
    mgls_first_channel_only: bool = False
    """MGLS's thermal part on the first channel alone, as the published code has it."""
    tdas: float = 0.0
    """Needs a restorer."""
    tdas_published_form: bool = False
    """M_Deg with the published code's numerator, F - VI."""
    intensity: float = 0.0
    ssim: float = 0.0
    pseudo: float = 0.0
    """Mean |F - pseudo ground truth|, a direct supervision of this project's own."""
    pseudo_edges: float = 0.0
    """The same of differences of neighbours (:mod:`training.supervision`, as the next two)."""
    pseudo_structure: float = 0.0
    """1 - SSIM of F and pseudo ground truth."""
    particles: float = 0.0
    """The share of streaks and flakes that F keeps."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < math.inf:
                raise ValueError(f"losses.{name}: expected a weight from 0 on, found {value}")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what a run computes, besides the data and the weights it starts from.

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
    epochs: float | None = None
    """The length in epochs instead: as many samples as there are pairs, each. See for_pairs()."""
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    warmup_steps: int = 50
    warmup_epochs: float | None = None
    """The warm-up in epochs instead."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 leaves it as it is."""
    ema_decay: float = 0.998
    rescale: tuple[float, float] = (1.0, 1.0)
    """Random scale of the images before the crop, smallest and largest."""
    degrade: bool = True
    recorded_share: float = 0.5
    """Where a data set brings degraded images of its own: the share of the draws that use them."""
    cross_attention: str = "mcca"
    """``sum`` and ``none`` are ablations: :func:`training.variants.replace_cross_attention`."""
    validate_every: int = 500
    """Steps between two looks at the held-out scenes; 0 never looks. Training is the same."""
    losses: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.crop < 16 or self.crop % 8:
            raise ValueError(f"crop: expected a multiple of 8 from 16 on, found {self.crop}")
        if self.batch < 1 or self.steps < 1:
            raise ValueError(f"expected batch and steps >= 1, found {self.batch}, {self.steps}")
        if not 0 < self.rescale[0] <= self.rescale[1]:
            raise ValueError(f"rescale: expected 0 < smallest <= largest, found {self.rescale}")
        if self.cross_attention not in CROSS_ATTENTIONS:
            raise ValueError(
                f"cross_attention: expected one of {CROSS_ATTENTIONS}, found "
                f"{self.cross_attention!r}"
            )
        for name in ("epochs", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, found {value}")
        for name in ("warmup_steps", "warmup_epochs", "clip_norm", "validate_every"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected 0 or more, found {value}")
        for name in ("ema_decay", "recorded_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, found {getattr(self, name)}")

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
    def load(cls, preset: str, overrides: Sequence[str] = ()) -> "TrainingConfig":
        """Read a preset by name (``default``) or a YAML file by path.

        Args:
            preset: The name or the path.
            overrides: Settings that replace the file's, as ``NAME=VALUE``; ``losses.NAME=VALUE``
                for the weights of the loss.

        Raises:
            FileNotFoundError: If there is neither preset nor file.
            ValueError: If it holds unknown names or impossible values, or an override does.
        """
        path = PRESETS / f"{preset}.yaml"
        if not path.is_file():
            path = Path(preset)
        if not path.is_file():
            known = sorted(p.stem for p in PRESETS.glob("*.yaml"))
            raise FileNotFoundError(f"expected a preset among {known} or a file, found {preset!r}")
        try:
            values = yaml.safe_load(path.read_text()) or {}
            for override in overrides:
                _override(values, override)
            return cls.from_dict(values)
        except (TypeError, ValueError, yaml.YAMLError) as error:
            raise ValueError(f"{path}: {error}") from error

    def for_pairs(self, count: int) -> "TrainingConfig":
        """The same settings with ``steps`` and ``warmup_steps`` set where epochs are given.

        An epoch is ceil(``count`` / ``batch``) steps. Pairs are drawn at random, so it shows as
        many samples as there are pairs, not each pair once.
        """
        per_epoch = math.ceil(count / self.batch)
        steps = self.steps if self.epochs is None else math.ceil(self.epochs * per_epoch)
        warmup = self.warmup_steps
        if self.warmup_epochs is not None:
            warmup = round(self.warmup_epochs * per_epoch)
        return replace(self, steps=steps, warmup_steps=warmup)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the inverse of :meth:`from_dict`."""
        return asdict(self)


def differences(then: TrainingConfig, now: TrainingConfig) -> dict[str, tuple[Any, Any]]:
    """The settings in which two configurations differ, ``losses.NAME`` for the loss's weights."""
    old, new = _flat(then), _flat(now)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def _flat(config: TrainingConfig) -> dict[str, Any]:
    values = config.to_dict()
    losses = values.pop("losses")
    return {**values, **{f"losses.{name}": value for name, value in losses.items()}}


def _override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"expected NAME=VALUE, found {override!r}")
    value = yaml.safe_load(text)
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)  # YAML takes 1e-4 for a word
    *groups, last = name.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    values[last] = value


def _refuse_unknown(cls: type, values: dict[str, Any]) -> None:
    known = {f.name: f for f in fields(cls)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"unknown names {unknown}; known are {sorted(known)}")
    for name, value in values.items():
        default = known[name].default
        if not _is_like(value, default):
            kind = "number" if default is None else type(default).__name__
            raise ValueError(f"{name}: expected {kind}, found {value!r}")


def _is_like(value: Any, default: Any) -> bool:
    """Whether a setting has the type of its default; an int passes for a float."""
    if isinstance(default, tuple):
        return isinstance(value, tuple | list) and all(_is_like(v, 0.0) for v in value)
    if default is None or isinstance(default, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number or (value is None and default is None)
    return type(value) is type(default)
