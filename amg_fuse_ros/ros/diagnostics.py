"""What the node knows about itself, as ``diagnostic_msgs``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from amg_fuse_ros.monitoring import Event, Severity, Statistics
from amg_fuse_ros.monitoring.memory import resident_mb

if TYPE_CHECKING:
    from amg_fuse_ros.fusion import Fuser
    from amg_fuse_ros.ros.pairing import Pairing

STAGES = ("wait", "convert", "prepare", "engine", "finish", "publish")
"""A frame's way from the later image's arrival to publication; together the latency."""

COUNTS = ("pairs", "fused", "passed through", "held", "dropped", "refused", "failed", "hung")
"""What became of pairs and images since the node was configured."""

LEVELS: Mapping[Severity, bytes] = {
    Severity.OK: DiagnosticStatus.OK,
    Severity.WARN: DiagnosticStatus.WARN,
    Severity.ERROR: DiagnosticStatus.ERROR,
}


def fuser_values(fuser: "Fuser") -> dict[str, object]:
    """What fuses, by the names that /diagnostics shows."""
    return {
        "size": fuser.size,
        "engine": fuser.engine.name,
        "device": fuser.engine.device,
        "precision": fuser.engine.precision,
        "network.scale": f"{fuser.scale:g}",
        "memory [MB]": round(resident_mb()),
    }


def pairing_values(pairing: "Pairing") -> dict[str, object]:
    """What pairing left over, by the names that /diagnostics shows."""
    return {
        "thermal without partner": pairing.unpaired_thermal,
        "rgb without partner": pairing.unpaired_rgb,
        "time jumps": pairing.time_jumps,
    }


def statistics_values(statistics: Statistics) -> dict[str, object]:
    """Rates, counts and durations by the names that /diagnostics shows."""
    s = statistics
    rates = {f"{e} rate [Hz]": s.rate(e) for e in ("thermal", "rgb", "pairs", "fused")}
    skew = s.milliseconds("skew", 0.5, 0.95)
    return {
        **rates,
        **{event: s.total(event) for event in COUNTS},
        **{event.value: s.total(event.value) for event in Event},
        "not fused, nobody subscribes": s.total("unwatched"),
        **stage_values(s, STAGES),
        "stamps apart p50/p95 [ms]": _pair(skew),
    }


def stage_values(statistics: Statistics, stages: Sequence[str]) -> dict[str, object]:
    """Latency, age and the stages that make the latency up, by the names that /diagnostics shows.

    Args:
        statistics: Of a node.
        stages: Their names.
    """
    s, values = statistics, dict[str, object]()
    for name in ("latency", "age"):
        quantiles = s.milliseconds(name, 0.5, 0.95, 0.99)
        values |= {f"{name} p{q} [ms]": v for q, v in zip((50, 95, 99), quantiles, strict=True)}
    return values | {
        f"{stage} p50/p95 [ms]": _pair(s.milliseconds(stage, 0.5, 0.95)) for stage in stages
    }


def make_diagnostics(
    *,
    stamp: Time,
    node_name: str,
    level: bytes,
    message: str,
    values: Mapping[str, object],
    part: str = "fusion",
) -> DiagnosticArray:
    """One status of a node.

    Args:
        stamp: When.
        node_name: Fully qualified, so that several cameras can be told apart.
        level: ``DiagnosticStatus.OK``, ``WARN``, ``ERROR`` or ``STALE``.
        message: One line for people.
        values: Key to value, shown as text.
        part: What the node does.
    """
    status = DiagnosticStatus(
        level=level,
        name=f"{node_name}: {part}",
        message=message,
        hardware_id="amg_fuse_ros",
        values=[KeyValue(key=k, value=_text(v)) for k, v in values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _pair(milliseconds: tuple[float | None, ...]) -> str:
    return "/".join(_text(value) for value in milliseconds)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
