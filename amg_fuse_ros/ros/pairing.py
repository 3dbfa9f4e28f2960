"""Which of the pairing policies a node uses, and how its settings reach it."""

from collections.abc import Callable
from typing import Any, TypeAlias

from amg_fuse_ros.ros.hold_thermal import HoldThermal
from amg_fuse_ros.ros.synchronizer import PairSynchronizer, make_synchronizer
from amg_fuse_ros.setting import Settings

Pairing: TypeAlias = PairSynchronizer | HoldThermal


def make_pairing(settings: Settings, on_pair: Callable[[Any, Any], None]) -> Pairing:
    """What ``sync.*`` asks for.

    Args:
        settings: The node's.
        on_pair: Called with the thermal and the RGB message of each pair.
    """
    offset_s = float(settings["sync.thermal_offset_ms"]) / 1000
    if settings["sync.policy"] == "hold_thermal":
        limit_s = float(settings["sync.hold_limit_ms"]) / 1000
        return HoldThermal(on_pair, limit_s=limit_s, offset_s=offset_s)
    return make_synchronizer(
        on_pair,
        slop_s=float(settings["sync.slop_ms"]) / 1000,
        queue=int(settings["sync.queue"]),
        offset_s=offset_s,
    )


def apply_to_pairing(pairing: Pairing, settings: Settings) -> None:
    """Put live settings into effect; what waits goes on waiting."""
    pairing.offset_s = float(settings["sync.thermal_offset_ms"]) / 1000
    if isinstance(pairing, HoldThermal):
        pairing.limit_s = float(settings["sync.hold_limit_ms"]) / 1000
    else:
        pairing.slop_s = float(settings["sync.slop_ms"]) / 1000
        pairing.queue = int(settings["sync.queue"])
