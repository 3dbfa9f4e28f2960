"""The training loop: step, record, validate, save; resumable at any step."""

import logging
import math
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from amg_fuse_ros.network.checkpoint import fingerprint
from training.config import TrainingConfig
from training.data.fingerprints import fingerprint_pairs
from training.data.pairs import Batch, PairDataset, manifest
from training.monitor import Monitor
from training.objective import LossWatch, Objective, check_restorer, freeze_unused
from training.pseudo_truth import ClassicalPseudoTruth
from training.restorer import load_restorer
from training.run_folder import RunFolder, TrainingState, pair_names, session_facts
from training.schedule import StopSignal, TrainingDivergedError, update_average
from training.session import Inputs, Session, learning_rate, make_fabric, make_network

if TYPE_CHECKING:
    from training.validation import Validator

__all__ = ["Inputs", "Session", "forward_backward", "train"]

logger = logging.getLogger(__name__)


class _Flags(NamedTuple):
    diverged: bool
    stop: bool


def train(
    config: TrainingConfig, inputs: Inputs, run: Path, session: Session | None = None
) -> TrainingState:
    """Train, or go on with the run in ``run``, until its steps or its minutes are spent.

    Writes ``run.json`` (what is needed to repeat it), ``log.jsonl``, ``tensorboard/``,
    ``last.ckpt`` (everything) and ``best.ckpt`` (averaged weights at the best validation score).
    SIGTERM and SIGINT save before the function returns. Of several processes one writes.

    Args:
        config: The settings; a run that exists must have been started with the same.
        inputs: Pairs, and what else it is made from; likewise.
        run: Folder of the run, created when it is not there.
        session: How to carry it out.

    Raises:
        RunError: If the run was started with other settings or data, or cannot be read.
        ValueError: If settings and inputs do not fit together.
        TrainingDivergedError: If loss or gradient is not finite, or the loss is a hundred times
            what it was; the last checkpoint stays as it was.
        OSError: If the last state cannot be written; the former one stays.
    """
    training = _Training(config, inputs, run, session or Session())
    training.describe()
    training.loop()
    return training.state


def forward_backward(
    fabric: Fabric, model: nn.Module, objective: Objective, batch: Batch, step: int
) -> dict[str, Tensor]:
    """Add the gradient of the loss to the parameters; returns the weighted terms, detached."""
    output = model(batch.visible_degraded, batch.thermal_degraded)
    terms = objective.terms(output, batch, step)
    fabric.backward(torch.stack(list(terms.values())).sum())
    return {name: value.detach() for name, value in terms.items()}


class _Training:
    """One session of a run."""

    def __init__(self, config: TrainingConfig, inputs: Inputs, run: Path, session: Session) -> None:
        self._began = time.monotonic()
        check_restorer(config, given=inputs.restorer is not None)
        usable, _ = fingerprint_pairs(inputs.pairs)
        self._inputs = inputs = replace(inputs, pairs=usable)
        self._session = session
        self._config = config = config.for_pairs(len(usable))
        self._fabric = fabric = make_fabric(session)
        self._dataset = PairDataset(
            inputs.pairs,
            config,
            rank=fabric.global_rank,
            processes=fabric.world_size,
            recorded_share=config.recorded_share,
            pseudo_truth=inputs.pseudo_truth,
        )
        restorer = load_restorer(inputs.restorer) if inputs.restorer else None
        self._network = make_network(config, inputs.initial_weights)
        self._manifest = manifest(usable)
        truth = inputs.pseudo_truth or ClassicalPseudoTruth()
        self._origin: dict[str, str | None] = {
            "data": self._manifest["digest"],
            "pseudo_truth": f"{truth.name} {truth.version}",
            "restorer": fingerprint(restorer.state_dict()) if restorer else None,
            "initial_weights": (
                fingerprint(self._network.state_dict()) if inputs.initial_weights else None
            ),
        }
        freeze_unused(self._network, Objective(config, restorer))
        optimizer = torch.optim.Adam(self._network.parameters(), lr=config.learning_rate)
        self._model, self._optimizer = fabric.setup(self._network, optimizer)
        self._objective = Objective(
            config,
            restorer.to(fabric.device) if restorer else None,
            average=lambda value: fabric.all_reduce(value, reduce_op="mean"),
            autocast=fabric.autocast,
        )
        average = {k: v.detach().clone() for k, v in self._network.state_dict().items()}
        self.state = TrainingState(self._network, self._optimizer, average)
        self._folder = RunFolder(run)
        self._origin = self._folder.resume(self.state, config, self._origin, extend=session.extend)
        self._seconds_before = self.state.seconds
        self._validator = self._make_validator()

    def _make_validator(self) -> "Validator | None":
        if not self._fabric.is_global_zero or self._config.validate_every == 0:
            return None
        if not self._inputs.validation:
            logger.info("no held-out pairs: there will be no best.ckpt")
            return None
        from training.validation import Validator  # the metrics need scipy, training does not

        return Validator(self._inputs.validation)

    def describe(self) -> None:
        """Write ``run.json``."""
        if not self._fabric.is_global_zero:
            return
        self._folder.path.mkdir(parents=True, exist_ok=True)
        inputs, fabric = self._inputs, self._fabric
        session = {
            **session_facts(),
            "from_step": self.state.step,
            "device": str(fabric.device),
            "processes": fabric.world_size,
            "threads": torch.get_num_threads(),
            "precision": str(self._session.precision),
        }
        self._folder.describe(
            session,
            {
                "config": self._config.to_dict(),
                "origin": self._origin,
                "restorer": inputs.restorer and inputs.restorer.name,
                "data": self._manifest,
                "pairs": pair_names(inputs.pairs),
                "validation": pair_names(inputs.validation),
            },
        )

    def loop(self) -> None:
        """Do steps until there are none left, time is up, or a signal says stop."""
        state, config, session = self.state, self._config, self._session
        watch = LossWatch()
        first = self._fabric.is_global_zero
        monitor = Monitor(self._folder.path, config.steps, state.step, enabled=first)
        saved = time.monotonic()
        with StopSignal() as stop, monitor:
            for sampled in self._loader():
                batch, step = sampled.to(self._fabric.device), state.step
                rate = learning_rate(config, step, state.moments_since)
                for group in self._optimizer.param_groups:
                    group["lr"] = rate
                self._optimizer.zero_grad()
                terms = forward_backward(self._fabric, self._model, self._objective, batch, step)
                loss = float(torch.stack(list(terms.values())).sum())
                norm = self._clip()
                flags = self._agree(
                    diverged=watch.diverged(loss) or not math.isfinite(norm),
                    stop=stop.asked or self._out_of_time(),
                )
                if flags.diverged:
                    self._fail(batch, step, loss)
                self._optimizer.step()
                update_average(state.average, self._network, config.ema_decay, step)
                state.step += 1
                state.seconds = self._seconds_before + time.monotonic() - self._began

                monitor.advance(loss)
                if step % session.record_every == 0:
                    values = self._mean_terms(terms)
                    total = sum(values.values())
                    monitor.record(step, {"loss": total, "norm": norm, "rate": rate, **values})
                if self._validator is not None and (
                    state.step % config.validate_every == 0 or state.step == config.steps
                ):
                    self._validate(monitor)
                if flags.stop:
                    logger.info("stopped at step %d of %d", state.step, config.steps)
                    break
                if time.monotonic() - saved > session.save_every_s:
                    self._save(final=False)
                    saved = time.monotonic()
        self._save(final=True)

    def _loader(self) -> DataLoader[Batch]:
        rest = Subset(self._dataset, range(self.state.step, self._config.steps))
        workers = self._session.workers
        return DataLoader(
            rest,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_leave_signals_to_the_trainer,
        )

    def _clip(self) -> float:
        norm = self._fabric.clip_gradients(
            self._model,
            self._optimizer,
            max_norm=self._config.clip_norm or math.inf,
            error_if_nonfinite=False,
        )
        assert norm is not None  # it is where max_norm is given
        return float(norm)

    def _agree(self, *, diverged: bool, stop: bool) -> _Flags:
        """What any of the processes says holds for all, or one would wait for ever."""
        if self._fabric.world_size == 1:
            return _Flags(diverged, stop)
        said = torch.tensor([diverged, stop], dtype=torch.float32, device=self._fabric.device)
        agreed = self._fabric.all_reduce(said, reduce_op="max")
        return _Flags(*(bool(flag) for flag in agreed))

    def _out_of_time(self) -> bool:
        minutes = self._session.minutes
        return minutes is not None and time.monotonic() - self._began > minutes * 60

    def _fail(self, batch: Batch, step: int, loss: float) -> None:
        self._optimizer.zero_grad()
        blame = self._objective.blame(self._network, batch, step)
        raise TrainingDivergedError(
            f"step {step}: the loss is {loss:.4g}, {blame}. {self._folder.path} keeps the state "
            "of its last checkpoint; look at the named pairs, or lower learning_rate or clip_norm"
        )

    def _mean_terms(self, terms: dict[str, Tensor]) -> dict[str, float]:
        values = self._fabric.all_reduce(torch.stack(list(terms.values())), reduce_op="mean")
        return dict(zip(terms, (float(value) for value in values), strict=True))

    def _validate(self, monitor: Monitor) -> None:
        assert self._validator is not None
        state, autocast = self.state, self._fabric.autocast
        fused = self._validator.fuse(self._network, state.average, autocast)
        scores = self._validator.score(fused)
        state.scores = {"step": state.step, **scores}
        monitor.validated(state.step, scores, self._validator.pictures(fused))
        if scores["score"] > state.best.get("score", -math.inf):
            state.best = dict(state.scores)
            try:
                self._folder.save_best(state, self._config)
            except OSError as error:
                logger.error("%s", error)

    def _save(self, *, final: bool) -> None:
        if not self._fabric.is_global_zero:
            return
        try:
            self._folder.save(self.state, self._config, self._origin)
        except OSError as error:
            if final:
                raise
            logger.error("%s. Training goes on and tries again later", error)


def _leave_signals_to_the_trainer(worker: int) -> None:
    """A signal to the whole process group must not kill what the last step waits for."""
    del worker
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
