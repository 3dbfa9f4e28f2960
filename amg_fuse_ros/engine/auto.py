"""Takes for each resolution the engine that was measured to be the fastest in it."""

import copy
from collections.abc import Callable, Mapping

from amg_fuse_ros.engine.base import Engine, EngineError, FloatImage
from amg_fuse_ros.engine.choice import Choice
from amg_fuse_ros.engine.progress import LOGGER
from amg_fuse_ros.engine.static import padded
from amg_fuse_ros.network import FusionNetwork


class AutoEngine:
    """Eager, or another engine in the resolutions in which that was measured to be faster.

    Where nothing was measured, ``usual`` runs if there is one. Should the other engine fail, eager
    goes on in its place and the log says why.
    """

    def __init__(
        self,
        eager: Engine,
        network: FusionNetwork,
        choices: Mapping[tuple[int, int], Choice],
        make: Callable[[FusionNetwork, str, str], Engine],
        usual: Choice | None = None,
    ) -> None:
        """Begin with eager.

        Args:
            eager: What runs every resolution for which there is no choice.
            network: What the others shall run; each gets a copy.
            choices: By padded height and width.
            make: Makes an engine from network, name and precision.
            usual: What runs the resolutions for which there is no choice, in eager's place.
        """
        self._eager, self._now = eager, eager
        self._network, self._choices, self._make = copy.deepcopy(network), dict(choices), make
        self._usual = usual
        self._others: dict[tuple[str, str], Engine] = {}
        if usual is not None:
            self._now = self._engine(usual)

    @property
    def builds(self) -> bool:
        """Whether a resolution for which nothing was measured waits for a build."""
        return self._usual is not None

    @property
    def name(self) -> str:
        """Of the engine that fused the last pair, or will fuse the first."""
        return self._now.name

    @property
    def device(self) -> str:
        """Where the engine that fused the last pair computes."""
        return self._now.device

    @property
    def precision(self) -> str:
        """Of the engine that fused the last pair."""
        return self._now.precision

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair; see :class:`amg_fuse_ros.engine.Engine`."""
        size = (padded(thermal.shape[0]), padded(thermal.shape[1]))
        choice = self._choices.get(size, self._usual)
        self._now = self._eager
        if choice is not None:
            try:
                self._now = self._engine(choice)
                return self._now.fuse(visible, thermal)
            except Exception as error:
                LOGGER.warning("%s failed, eager goes on: %s", choice.engine, error)
                if self._choices.pop(size, None) is None:
                    self._usual = None
                self._now = self._eager
        return self._eager.fuse(visible, thermal)

    def _engine(self, choice: Choice) -> Engine:
        kind = choice.engine, choice.precision
        if kind not in self._others:
            try:
                self._others[kind] = self._make(copy.deepcopy(self._network), *kind)
            except ValueError as error:
                raise EngineError(str(error)) from error
        return self._others[kind]
