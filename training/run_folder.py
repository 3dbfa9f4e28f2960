"""The folder of a run: its checkpoints, and ``run.json`` with what is needed to repeat it."""

import json
import logging
import pickle
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainingConfig, differences
from training.data.pairs import PairFiles
from training.schedule import save_whole, write_text_whole

logger = logging.getLogger(__name__)

LAST = "last.ckpt"
BEST = "best.ckpt"
DESCRIPTION = "run.json"

EXTENDABLE = frozenset({"steps", "epochs", "data"})
PACKAGES = ("torch", "numpy", "lightning-fabric", "opencv-python", "numba", "safetensors")


class RunError(ValueError):
    """A run that cannot be gone on with as asked; the message says why and what to do."""


@dataclass
class TrainingState:
    """All that training changes."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    """Exponential average of the network's state dict."""
    step: int = 0
    """Optimiser steps done."""
    seconds: float = 0.0
    """Time spent in training, over all sessions."""
    moments_since: int = 0
    """The step at which the optimiser's moments began anew; 0 where they never did."""
    scores: dict[str, Any] = field(default_factory=dict)
    """The newest validation: ``step``, ``score`` and the metrics."""
    best: dict[str, Any] = field(default_factory=dict)
    """Likewise, of the step with the best score."""


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes the files of one run."""

    path: Path

    def save(
        self, state: TrainingState, config: TrainingConfig, origin: Mapping[str, str | None]
    ) -> None:
        """Write ``last.ckpt`` whole or not at all: a kill while writing leaves the former one.

        Raises:
            OSError: If it cannot be written.
        """
        content = {
            "config": config.to_dict(),
            "origin": dict(origin),
            "step": state.step,
            "seconds": state.seconds,
            "moments_since": state.moments_since,
            "scores": state.scores,
            "best": state.best,
            "network": state.network.state_dict(),
            "average": state.average,
            "optimizer": state.optimizer.state_dict(),
        }
        save_whole(content, self.path / LAST)

    def save_best(self, state: TrainingState, config: TrainingConfig) -> None:
        """Write the averaged weights as ``best.ckpt``, whole or not at all.

        Raises:
            OSError: If it cannot be written.
        """
        content = {
            "config": config.to_dict(),
            "step": state.step,
            "scores": state.best,
            "average": state.average,
        }
        save_whole(content, self.path / BEST)

    def load(self, name: str = LAST) -> dict[str, Any]:
        """The content of a checkpoint, on the CPU; that of older versions may lack keys.

        Raises:
            RunError: If there is none, or it cannot be read.
        """
        path = self.path / name
        if not path.is_file():
            raise RunError(f"{self.path}: expected a run with a checkpoint {name}, found none")
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            missing = {"config", "step", "average"} - content.keys()
        except (RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
            raise RunError(
                f"{path}: expected a checkpoint, found a file that cannot be read "
                f"({type(error).__name__}); restore it, or delete it to start anew"
            ) from error
        if missing:
            raise RunError(f"{path}: expected a checkpoint of a run, found none of {missing}")
        return content

    def resume(
        self,
        state: TrainingState,
        config: TrainingConfig,
        origin: Mapping[str, str | None],
        *,
        extend: bool = False,
    ) -> dict[str, str | None]:
        """Fill ``state`` from ``last.ckpt``; leaves it alone where there is none.

        Args:
            state: What to fill.
            config: The settings now.
            origin: Names of what the run is made from, and what tells them apart; ``None`` is
                not compared.
            extend: Allow another length and other data than before.

        Returns:
            The origin, completed by what the checkpoint knows.

        Raises:
            RunError: If the checkpoint cannot be read or belongs to another size, other settings
                or another origin.
        """
        if not (self.path / LAST).is_file():
            return dict(origin)
        content = self.load()
        self._refuse_other(content, config, origin, extend)
        state.network.load_state_dict(content["network"])
        for name, value in content["average"].items():
            state.average[name].copy_(value)
        state.step, state.seconds = content["step"], content["seconds"]
        state.moments_since = content.get("moments_since", 0)
        state.scores, state.best = content.get("scores", {}), content.get("best", {})
        if "optimizer" in content:
            state.optimizer.load_state_dict(content["optimizer"])
        else:
            logger.info("the checkpoint came without the optimiser's moments: they begin anew")
            state.moments_since = state.step
        known = content.get("origin", {})
        return {**known, **{name: value or known.get(name) for name, value in origin.items()}}

    def _refuse_other(
        self,
        content: Mapping[str, Any],
        config: TrainingConfig,
        origin: Mapping[str, str | None],
        extend: bool,
    ) -> None:
        differing: dict[str, tuple[Any, Any]] = {
            **differences(TrainingConfig.from_dict(content["config"]), config),
            **{
                name: (then, origin.get(name))
                for name, then in content.get("origin", {}).items()
                if None not in (then, origin.get(name)) and then != origin.get(name)
            },
        }
        differing.pop("validate_every", None)
        if extend:
            differing = {k: v for k, v in differing.items() if k not in EXTENDABLE}
        if not differing:
            return
        lines = [f"  {name}: {then} then, {now} now" for name, (then, now) in differing.items()]
        advice = "repeat the former settings, or choose another folder"
        if differing.keys() <= EXTENDABLE:
            advice = "say --extend to go on with this length and data, or repeat the former ones"
        raise RunError(
            f"{self.path}: the run was started with other settings; {advice}:\n" + "\n".join(lines)
        )

    def describe(self, session: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """Write ``run.json``: the description, and a list of sessions that this one is added to.

        Raises:
            OSError: If it cannot be written.
        """
        sessions = [*self.description().get("sessions", []), dict(session)]
        text = json.dumps({**description, "sessions": sessions}, indent=1)
        write_text_whole(text + "\n", self.path / DESCRIPTION)

    def description(self) -> dict[str, Any]:
        """The content of ``run.json``; empty where there is none or it cannot be read."""
        try:
            content: dict[str, Any] = json.loads((self.path / DESCRIPTION).read_text())
        except (OSError, ValueError):
            return {}
        return content


def session_facts() -> dict[str, Any]:
    """When, with which command, which code and which packages a session runs."""
    return {
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": commit(),
        "versions": {"python": platform.python_version(), **_versions(PACKAGES)},
    }


def commit() -> str | None:
    """The commit of the checkout that the code runs from, "+changes" behind it where there are.

    ``None`` outside a checkout.
    """
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def pair_names(pairs: Sequence[PairFiles]) -> list[str]:
    """The names of the pairs, as ``run.json`` keeps them."""
    return [files.name for files in pairs]
