"""Settings that the fusion node and the detector node have alike."""

from amg_fuse_ros.setting import Setting

AUTOSTART = Setting(
    "autostart", True, "Configure and activate at start; false waits for a lifecycle manager."
)

DEVICE = Setting("device", "auto", "Where it runs: auto, cpu, cuda or cuda:N.")

OUTPUT_RELIABILITY = Setting(
    "qos.output_reliability",
    "reliable",
    "Reliability offered to subscribers; reliable serves both kinds.",
    choices=("best_effort", "reliable"),
)

LOG_PERIOD = Setting(
    "log_period_s",
    5.0,
    "Shortest time in seconds between two messages of the same kind in the log.",
    minimum=0.1,
    maximum=3600.0,
    live=True,
)

DIAGNOSTICS_PERIOD = Setting(
    "diagnostics_period_s",
    1.0,
    "Seconds between two messages on /diagnostics.",
    minimum=0.1,
    maximum=60.0,
)

WARN_LATENCY = Setting(
    "diagnostics.warn_latency_ms",
    0.0,
    "Latency (p95, arrival to publication) above which the node warns; 0 never.",
    minimum=0.0,
    maximum=60_000.0,
    live=True,
)
