"""Goes on with another engine where one fails while it runs."""

import contextlib
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from amg_fuse_ros.engine import (
    ENGINES,
    Engine,
    EngineError,
    EngineUnavailableError,
    choice,
    create_engine,
)
from amg_fuse_ros.engine.base import FloatImage
from amg_fuse_ros.engine.fidelity import shortfall
from amg_fuse_ros.engine.progress import LOGGER
from amg_fuse_ros.network import FusionNetwork

OnFallback = Callable[[str, str, str], None]
"""Told what ran, what runs now, and why."""

Make = Callable[[FusionNetwork, str, str, str], Engine]
"""Makes an engine from network, name, device and precision, as ``create_engine`` does."""


@dataclass(frozen=True)
class Link:
    """An engine of the chain, as options name it."""

    name: str
    device: str = "auto"
    precision: str = "auto"

    def __str__(self) -> str:
        return f"{self.name} {self.precision} on {self.device}"


LAST_RESORT = Link("eager", "cpu", "fp32")
"""Needs nothing but memory; as good as any on the CPU."""


def fallback_links(text: str, first: Link, load: Callable[[], FusionNetwork]) -> list[Link]:
    """The chain that an option names, the first engine in front.

    Args:
        text: Names of engines with commas between, each perhaps with ``:DEVICE``. ``"auto"``:
            those that were measured on this machine with these weights, the fastest first, eager
            on the first engine's device, then eager on the CPU in fp32. Empty: none.
        first: What runs as long as nothing fails; the others take its precision where they
            have it.
        load: Gives the network, which tells what was measured.

    Raises:
        ValueError: If a name is none of an engine.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["auto"]:
        others = [*_measured(load(), first), Link("eager", first.device, first.precision)]
        others.append(LAST_RESORT)
    else:
        others = [_parse(name, first) for name in names]
    return list(dict.fromkeys([first, *others]))


def _parse(text: str, first: Link) -> Link:
    name, colon, device = text.partition(":")
    if name not in ENGINES:
        raise ValueError(
            f"fallback: expected engines among {list(ENGINES)} with commas between, each perhaps "
            f"with :DEVICE, or auto alone, found {text!r}"
        )
    return Link(name, device if colon else first.device, first.precision)


def _measured(network: FusionNetwork, first: Link) -> list[Link]:
    device = first.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = sorted(choice.remembered(network, device), key=lambda row: row.seconds)
    right = [row for row in rows if shortfall(row.precision, row.psnr_db) is None]
    return [Link(row.engine, device, row.precision) for row in right]


class FallbackEngine:
    """Runs the first engine of a chain; where it fails, the next one runs the same pair.

    A failure is any exception but ``ValueError``, which speaks of the pair, and a result that
    holds NaN or is of another shape. An engine is made when its turn comes, after the failed one
    was let go. There is no way back: whoever wants the first one again makes a new chain.
    """

    def __init__(
        self,
        load: Callable[[], FusionNetwork],
        links: Sequence[Link],
        on_fallback: OnFallback | None = None,
        make: Make = create_engine,
        reason: str = "",
    ) -> None:
        """Make the first engine, or where it cannot run the next one that can.

        Args:
            load: Gives the network anew; each engine takes one and may change it.
            links: The chain.
            on_fallback: Told once for each change, in the thread that fuses.
            make: Makes an engine.
            reason: Why an earlier chain does not go on, if this is what is left of it.

        Raises:
            ValueError: If the chain is empty, or the first engine's options are not known.
            EngineUnavailableError: If none of them can run here; the message tells of each. A
                single engine's own exception comes as it is.
        """
        if not links:
            raise ValueError("expected at least one engine, found none")
        self._load, self._make, self._on_fallback = load, make, on_fallback
        self._size = ""
        self._links = list(links)
        self._reason = reason
        self._given_up = False
        self._about = self._links[0]
        self._engine: Engine | None = None
        try:
            # What goes on after a failure need not be exactly what was asked for.
            make_first = self._make_somehow if reason else self._make_exactly
            self._take(make_first(self._links[0]))
        except ValueError:
            raise
        except Exception as error:
            if len(links) == 1:
                raise
            if left_over := self._advance(_in_words(error)):
                raise EngineUnavailableError(left_over) from error

    @property
    def running(self) -> Engine | None:
        """The engine that runs now."""
        return self._engine

    @property
    def now(self) -> Link:
        """The engine that runs, or ran last: engines may change their name from pair to pair."""
        if (engine := self._engine) is not None:
            self._about = Link(engine.name, engine.device, engine.precision)
        return self._about

    @property
    def links(self) -> Sequence[Link]:
        """What is left of the chain, what runs now in front."""
        return tuple(self._links)

    @property
    def reason(self) -> str:
        """Why it is not the first engine that runs; empty while it does."""
        return self._reason

    @property
    def name(self) -> str:
        """Of the engine that runs now."""
        return self.now.name

    @property
    def size(self) -> str:
        """Of the network that the chain runs: ``"nano"``, ``"tiny"`` or ``"full"``."""
        return self._size

    @property
    def device(self) -> str:
        """Where the engine that runs now computes."""
        return self.now.device

    @property
    def precision(self) -> str:
        """Of the engine that runs now."""
        return self.now.precision

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair; see :class:`amg_fuse_ros.engine.Engine`.

        Raises:
            ValueError: If the pair is wrong.
            EngineError: If every engine that was left has failed. The next pair is tried with the
                last one again.
        """
        while True:
            fused, problem = self._attempt(visible, thermal)
            if fused is not None:
                return fused
            if left_over := self._advance(problem):
                raise EngineError(f"{self.now} failed, no other engine is left: {left_over}")

    def close(self) -> None:
        """Let the engine go."""
        engine, self._engine = self._engine, None
        if close := getattr(engine, "close", None):
            close()

    def give_up(self) -> None:
        """From another thread, when the one that fuses hangs: what it still does has no effect.

        It keeps the engine; one that is shared is not given to others any more.
        """
        self._given_up = True
        if abandon := getattr(self._engine, "abandon", None):
            abandon()

    def _attempt(
        self, visible: FloatImage, thermal: FloatImage
    ) -> tuple[FloatImage, str] | tuple[None, str]:
        """The fused image, or what is wrong; an exception is not kept, it holds memory."""
        try:
            if self._engine is None or getattr(self._engine, "is_abandoned", False):
                self.close()
                self._take(self._make_somehow(self._links[0]))
            assert self._engine is not None
            fused = self._engine.fuse(visible, thermal)
        except ValueError:
            raise
        except Exception as error:
            return None, _in_words(error)
        if fused.shape != visible.shape:
            return None, f"expected a fused image {visible.shape}, found {fused.shape}"
        # The image is clamped: its sum is finite unless a pixel is not.
        if not np.isfinite(fused.sum()):
            return None, "values that are no numbers in the fused image"
        return fused, ""

    def _advance(self, problem: str) -> str:
        """Make the next engine that can be made; the others are left out for good.

        Returns:
            What is wrong with all of them; empty if there is one.
        """
        left = self._links[1:]
        if self._given_up or not left:
            return problem
        failed, problems = str(self.now), [problem]
        self.close()
        _free_memory()
        while left:
            try:
                self._take(self._make_somehow(left[0]))
            except Exception as error:
                problems.append(f"{left.pop(0)}: {_in_words(error)}")
                continue
            self._links = left
            self._tell(failed, "; ".join(problems))
            return ""
        self._links = self._links[:1]
        return "; ".join(problems)

    def _tell(self, failed: str, problem: str) -> None:
        self._reason = f"{failed} failed: {problem}"
        LOGGER.warning("%s failed, %s goes on: %s", failed, self.now, problem)
        if self._on_fallback is not None:
            self._on_fallback(failed, str(self.now), problem)

    def _make_exactly(self, link: Link) -> Engine:
        network = self._load()
        self._size = network.size.name
        return self._make(network, link.name, link.device, link.precision)

    def _make_somehow(self, link: Link) -> Engine:
        """As the link says, or if it cannot be so: in another precision, on the CPU."""
        ways = dict.fromkeys([link, Link(link.name, link.device), Link(link.name, "cpu")])
        problem: EngineUnavailableError | None = None
        for way in ways:
            try:
                return self._make_exactly(way)
            except EngineUnavailableError as error:
                problem = problem or error
        assert problem is not None
        raise problem

    def _take(self, engine: Engine) -> None:
        self._engine = engine
        self._about = Link(engine.name, engine.device, engine.precision)


def _in_words(error: Exception) -> str:
    first = str(error).partition("\n")[0]
    short = isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in first
    if short or "can't allocate memory" in first:
        return f"out of memory ({first})" if first else "out of memory"
    return first if isinstance(error, EngineError) else f"{type(error).__name__}: {first}"


def _free_memory() -> None:
    """What the failed engine held, so that the next one finds room."""
    gc.collect()
    if torch.cuda.is_initialized():
        # Fails where the driver does; then there is nothing to gain from it.
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()
