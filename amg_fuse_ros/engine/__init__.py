"""Ways to run the network, behind one small protocol.

A new engine is a module with a class that satisfies :class:`Engine`, and a line in ``ENGINES``.
"""

from collections.abc import Callable, Mapping

from amg_fuse_ros.engine.base import Engine, EngineUnavailableError
from amg_fuse_ros.engine.eager import EagerEngine
from amg_fuse_ros.network import AMGFuse

ENGINES: Mapping[str, Callable[[AMGFuse, str, str], Engine]] = {"eager": EagerEngine}
"""Name to ``(network, device, precision) -> Engine``, the preferred ones first."""


def create_engine(
    network: AMGFuse, name: str = "auto", device: str = "auto", precision: str = "auto"
) -> Engine:
    """Make the engine that will run ``network``.

    Args:
        network: In evaluation mode; the engine may change its device, type and layout.
        name: A key of ``ENGINES``, or ``"auto"`` for the first that works here.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        precision: ``"auto"``, ``"fp32"``, ``"bf16"``, ``"fp16"`` or ``"fp64"``.

    Raises:
        ValueError: If there is no engine of that name, or no such device or precision.
        EngineUnavailableError: If the engine cannot run here; the message says what is missing.
    """
    if name == "auto":
        reasons = []
        for candidate, build in ENGINES.items():
            try:
                return build(network, device, precision)
            except EngineUnavailableError as error:
                reasons.append(f"{candidate}: {error}")
        raise EngineUnavailableError("no engine can run here; " + "; ".join(reasons))
    if name not in ENGINES:
        raise ValueError(f"expected an engine among {['auto', *ENGINES]}, found {name!r}")
    return ENGINES[name](network, device, precision)


__all__ = ["ENGINES", "EagerEngine", "Engine", "EngineUnavailableError", "create_engine"]
