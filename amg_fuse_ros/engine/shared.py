"""One engine for several cameras of a process: its weights and buffers are there once."""

import threading
import weakref
from collections import deque
from typing import NamedTuple

from amg_fuse_ros.engine.base import Engine, EngineError, FloatImage
from amg_fuse_ros.network import FusionNetwork
from amg_fuse_ros.network.checkpoint import fingerprint


class Request(NamedTuple):
    """What makes engines equal."""

    weights: str
    """Fingerprint of their content."""
    name: str
    device: str
    precision: str


class Turns:
    """A lock that serves those who wait in the order in which they came.

    With ``threading.Lock`` a camera that takes the lock again at once may keep others out.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[_Turn] = deque()
        self._taken = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        with self._mutex:
            return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether nobody gets it any more."""
        return self._closed

    def take(self) -> bool:
        """Wait until it is one's turn; false if it was closed instead."""
        with self._mutex:
            if self._closed or not self._taken:
                self._taken = not self._closed
                return not self._closed
            turn = _Turn()
            self._waiting.append(turn)
        turn.decided.wait()
        return turn.granted

    def give(self) -> None:
        """Hand it to the one who has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().decide(granted=True)
            else:
                self._taken = False

    def close(self) -> None:
        """Send all away who wait or come: whoever has it will not give it back."""
        with self._mutex:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().decide(granted=False)


class _Turn:
    def __init__(self) -> None:
        self.decided = threading.Event()
        self.granted = False

    def decide(self, granted: bool) -> None:
        self.granted = granted
        self.decided.set()


class _Owned:
    """An engine and whose turn it is; lives as long as somebody uses it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.turns = Turns()
        self.users: weakref.WeakSet[SharedEngine] = weakref.WeakSet()


class SharedEngine:
    """One camera's hold of an engine that others may use, too; one pair at a time, in turn."""

    def __init__(self, owned: _Owned) -> None:
        """See :meth:`EnginePool.take`."""
        self._owned: _Owned | None = owned
        owned.users.add(self)

    @property
    def running(self) -> Engine:
        """The engine itself."""
        return self._get().engine

    @property
    def name(self) -> str:
        """Of the engine."""
        return self.running.name

    @property
    def device(self) -> str:
        """Where the engine computes."""
        return self.running.device

    @property
    def precision(self) -> str:
        """Of the engine."""
        return self.running.precision

    @property
    def users(self) -> int:
        """How many hold the engine."""
        return len(self._get().users)

    @property
    def is_abandoned(self) -> bool:
        """Whether the engine hangs in somebody's thread, so that another is needed."""
        return self._owned is not None and self._owned.turns.closed

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair when it is this camera's turn; see :class:`amg_fuse_ros.engine.Engine`.

        Raises:
            EngineError: If the engine hangs in another camera's thread and was given up there.
        """
        owned = self._get()
        if not owned.turns.take():
            raise EngineError("the engine that cameras share hangs in another one's thread")
        try:
            return owned.engine.fuse(visible, thermal)
        finally:
            owned.turns.give()

    def close(self) -> None:
        """Let go; the last one to do so frees the engine."""
        if self._owned is not None:
            self._owned.users.discard(self)
        self._owned = None

    def abandon(self) -> None:
        """It hangs: send away who waits for it, and let nobody else get it."""
        if self._owned is not None:
            self._owned.turns.close()

    def _get(self) -> _Owned:
        if self._owned is None:
            raise EngineError("this hold of a shared engine was closed")
        return self._owned


class EnginePool:
    """Gives equal engines out once.

    It does not keep them: an engine goes when the last one who uses it has closed its hold or is
    gone itself.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._owned: weakref.WeakValueDictionary[Request, _Owned] = weakref.WeakValueDictionary()
        self._making: dict[Request, threading.Lock] = {}

    def take(
        self,
        network: FusionNetwork,
        name: str = "auto",
        device: str = "auto",
        precision: str = "auto",
    ) -> SharedEngine:
        """Hold the engine for this network, made now if nobody has it.

        Args:
            network: Its weights' content counts; it is used up as by ``create_engine``.
            name: See :func:`amg_fuse_ros.engine.create_engine`, as ``device``, ``precision`` and
                the errors. Engines are equal if these are, ``"auto"`` being its own value.
            device: Where it computes.
            precision: In which floating type.
        """
        from amg_fuse_ros.engine import create_engine

        request = Request(fingerprint(network.state_dict()), name, device, precision)
        with self._mutex:
            making = self._making.setdefault(request, threading.Lock())
        with making:  # not the pool's lock: making one may take long, or hang
            owned = self._owned.get(request)
            if owned is None or owned.turns.closed:
                owned = _Owned(create_engine(network, name, device, precision))
                self._owned[request] = owned
            return SharedEngine(owned)


POOL = EnginePool()
"""Of this process."""
