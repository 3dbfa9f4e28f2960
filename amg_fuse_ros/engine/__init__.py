"""Ways to run the network, behind one small protocol.

A new engine is a module with a class that satisfies :class:`Engine`, and a line in ``ENGINES``.
Engines are imported when they are asked for, so that none costs those who use another.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from amg_fuse_ros.engine.base import Engine, EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from amg_fuse_ros.network import AMGFuse

ENGINES: Mapping[str, str] = {"eager": "EagerEngine"}
"""Name of the engine and of its module here, to its class; the preferred ones first."""


def create_engine(
    network: "AMGFuse", name: str = "auto", device: str = "auto", precision: str = "auto"
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
    if name != "auto":
        return _engine_class(name)(network, device, precision)
    reasons = []
    for candidate in ENGINES:
        try:
            return _engine_class(candidate)(network, device, precision)
        except EngineUnavailableError as error:
            reasons.append(f"{candidate}: {error}")
    raise EngineUnavailableError("no engine can run here; " + "; ".join(reasons))


def _engine_class(name: str) -> "type[Engine]":
    if name not in ENGINES:
        raise ValueError(f"expected an engine among {['auto', *ENGINES]}, found {name!r}")
    found: type[Engine] = getattr(import_module(f"{__name__}.{name}"), ENGINES[name])
    return found


__all__ = ["ENGINES", "Engine", "EngineError", "EngineUnavailableError", "create_engine"]
