"""Ways to run the network, behind one small protocol.

A new engine is a module with a class that satisfies :class:`Engine`, and a line in ``ENGINES``.
Engines are imported when they are asked for, so that none costs those who use another.
"""

import copy
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from amg_fuse_ros.engine.base import Engine, EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from amg_fuse_ros.network import FusionNetwork

ENGINES: Mapping[str, str] = {
    "eager": "EagerEngine",
    "openvino": "OpenVinoEngine",
    "onnx": "OnnxEngine",
    "compile": "CompileEngine",
    "tensorrt": "TensorRTEngine",
}
"""Name of the engine and of its module here, to its class."""

UNTRIED: Mapping[str, str] = {
    "tensorrt": "untried on hardware: written and tested without TensorRT",
}
"""Engines that were never run, and what that means."""


def create_engine(
    network: "FusionNetwork", name: str = "auto", device: str = "auto", precision: str = "auto"
) -> Engine:
    """Make the engine that will run ``network``.

    Args:
        network: In evaluation mode; the engine may change its device, type and layout.
        name: A key of ``ENGINES``, or ``"auto"``: eager, for nano on a CPU OpenVINO where it is
            installed, and in resolutions for which ``amg-fuse build-engine`` found another engine
            faster, that one.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        precision: ``"auto"``, ``"fp32"``, ``"bf16"``, ``"fp16"`` or ``"fp64"``.

    Raises:
        ValueError: If there is no engine of that name, or no such device or precision.
        EngineUnavailableError: If the engine cannot run here; the message says what is missing.
    """
    if name != "auto":
        return _engine_class(name)(network, device, precision)
    from amg_fuse_ros.engine import choice

    size = network.size.name
    others = choice.anything_remembered() or choice.usual(size, "cpu", precision) is not None
    untouched = copy.deepcopy(network) if others else None
    eager = _engine_class("eager")(network, device, precision)
    if untouched is None or precision == "fp64":
        return eager
    usual = choice.usual(size, eager.device, precision)
    choices = {
        resolution: found
        for resolution, found in choice.choices(untouched, eager.device, precision).items()
        if usual is not None or (found.engine, found.precision) != (eager.name, eager.precision)
    }
    if not (choices or usual):
        return eager
    from amg_fuse_ros.engine.auto import AutoEngine

    def make(network: "FusionNetwork", name: str, precision: str) -> Engine:
        return _engine_class(name)(network, device, precision)

    return AutoEngine(eager, untouched, choices, make, usual)


def _engine_class(name: str) -> "type[Engine]":
    if name not in ENGINES:
        raise ValueError(f"expected an engine among {['auto', *ENGINES]}, found {name!r}")
    found: type[Engine] = getattr(import_module(f"{__name__}.{name}"), ENGINES[name])
    return found


__all__ = ["ENGINES", "UNTRIED", "Engine", "EngineError", "EngineUnavailableError", "create_engine"]
