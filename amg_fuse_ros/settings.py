"""The one source of the node's settings.

This table gives the ROS parameters with their types, ranges and descriptions, the defaults in
``config/fusion.yaml``, the command line's options and the reference page in the documents.
"""

from collections.abc import Mapping

from amg_fuse_ros.camera_settings import CAMERA_SETTINGS
from amg_fuse_ros.common_settings import (
    AUTOSTART,
    DEVICE,
    DIAGNOSTICS_PERIOD,
    LOG_PERIOD,
    OUTPUT_RELIABILITY,
    WARN_LATENCY,
)
from amg_fuse_ros.engine import ENGINES
from amg_fuse_ros.imaging.thermal import GainSettings
from amg_fuse_ros.resolution import PATTERN, WORDS
from amg_fuse_ros.setting import Form, Setting, Settings, SettingValue

__all__ = ["BY_NAME", "TABLE", "Setting", "SettingValue", "Settings", "defaults", "gain_settings"]

TABLE: tuple[Setting, ...] = (
    AUTOSTART,
    Setting(
        "network.weights",
        "",
        "Weights file (safetensors, or the authors' .pth); empty takes the shipped weights.",
    ),
    Setting(
        "network.size",
        "auto",
        "Size of the network; auto: that of the weights file, and where none is named tiny with a "
        "GPU, nano without.",
        choices=("auto", "nano", "tiny", "full"),
    ),
    Setting(
        "network.scale",
        1.0,
        "Fraction of the RGB size at which pairs are fused; below 1 it is faster, detail is lost.",
        minimum=0.05,
        maximum=1.0,
        live=True,
    ),
    Setting(
        "network.warm_up",
        "",
        "WxH of the RGB images: engines that are built for a resolution are built and tried while "
        "the node configures; empty: when the first pair comes.",
        form=Form(f"({PATTERN})?", f"{WORDS}, or nothing"),
    ),
    Setting(
        "engine",
        "auto",
        "What runs the network; auto: eager (nano on a CPU: openvino, where it is installed), or "
        "what amg-fuse build-engine found to be faster.",
        choices=("auto", *ENGINES),
    ),
    DEVICE,
    Setting(
        "precision",
        "auto",
        "Floating type of the network.",
        choices=("auto", "fp32", "bf16", "fp16", "fp64"),
    ),
    Setting(
        "engine_fallback",
        "",
        "Engines that go on where the first one fails, in this order, separated by commas, each "
        "perhaps with a device (openvino, eager:cpu); auto: those that were measured here, then "
        "eager, at last on the CPU; empty: none.",
    ),
    Setting(
        "hang_timeout_s",
        30.0,
        "Seconds after which a pair under way is given up and another thread takes over; builds "
        "do not count; 0 waits for ever.",
        minimum=0.0,
        maximum=3600.0,
        live=True,
    ),
    Setting(
        "latency_budget_ms",
        0.0,
        "Milliseconds that 95 % of the pairs shall take at most, from arrival to publishing: the "
        "scale goes down from network.scale (3/4, 1/2, 3/8 of it) as needed; 0 is no budget.",
        minimum=0.0,
        maximum=60_000.0,
        live=True,
    ),
    *CAMERA_SETTINGS,
    Setting(
        "sync.policy",
        "pair",
        "pair: images of about the same time, each once; hold_thermal: every RGB image with the "
        "newest thermal one, for thermal cameras that are slower.",
        choices=("pair", "hold_thermal"),
    ),
    Setting(
        "sync.slop_ms",
        25.0,
        "Largest distance in milliseconds between the stamps of a pair.",
        minimum=0.0,
        maximum=10_000.0,
        live=True,
    ),
    Setting(
        "sync.queue",
        10,
        "Images of each camera that wait for a partner.",
        minimum=1,
        maximum=1000,
        live=True,
    ),
    Setting(
        "sync.hold_limit_ms",
        150.0,
        "With hold_thermal: largest distance in milliseconds of the thermal image's stamp.",
        minimum=0.0,
        maximum=10_000.0,
        live=True,
    ),
    Setting(
        "sync.thermal_offset_ms",
        0.0,
        "Added to the thermal stamps if that clock is wrong; /diagnostics estimates by how much.",
        minimum=-60_000.0,
        maximum=60_000.0,
        live=True,
    ),
    Setting(
        "on_missing",
        "passthrough",
        "While one camera is missing or stands still. passthrough: publish the other's images; "
        "hold: publish the last fused image again, with its old stamp; stop: publish nothing.",
        choices=("passthrough", "hold", "stop"),
        live=True,
    ),
    Setting(
        "faults.missing_after_s",
        1.0,
        "Seconds without an image after which a camera is missing.",
        minimum=0.1,
        maximum=3600.0,
        live=True,
    ),
    Setting(
        "faults.frozen_after_s",
        2.0,
        "Seconds with the same content or stamp after which a camera stands still; 0 never.",
        minimum=0.0,
        maximum=3600.0,
        live=True,
    ),
    Setting(
        "fused.encoding",
        "rgb8",
        "Encoding of the fused image.",
        choices=("rgb8", "bgr8"),
        live=True,
    ),
    Setting(
        "fused.strength",
        1.0,
        "How much of the fused image is published; the rest is the RGB image as it came.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
    Setting("mask.publish", True, "Publish the mask, if somebody subscribes to it.", live=True),
    Setting(
        "mask.encoding",
        "32FC1",
        "Encoding of the mask: 32FC1 is 0..1, mono8 is 0..255.",
        choices=("32FC1", "mono8"),
        live=True,
    ),
    Setting(
        "mask.form",
        "local",
        "local: equation 3 by local least squares, smooth; paper: equation 5, grainy in the dark.",
        choices=("local", "paper"),
        live=True,
    ),
    Setting(
        "lazy",
        True,
        "Fuse only while somebody subscribes to the fused image or the mask.",
        live=True,
    ),
    Setting(
        "qos.input_reliability",
        "best_effort",
        "Reliability asked of the cameras; best_effort is understood by every publisher.",
        choices=("best_effort", "reliable"),
    ),
    OUTPUT_RELIABILITY,
    LOG_PERIOD,
    DIAGNOSTICS_PERIOD,
    WARN_LATENCY,
    Setting(
        "diagnostics.error_latency_ms",
        0.0,
        "Latency (p95) that is an error; 0 never.",
        minimum=0.0,
        maximum=60_000.0,
        live=True,
    ),
    Setting(
        "diagnostics.warn_rate_hz",
        0.0,
        "Rate of fused images below which the node warns while both cameras send; 0 never.",
        minimum=0.0,
        maximum=1000.0,
        live=True,
    ),
    Setting(
        "diagnostics.warn_dropped",
        0.1,
        "Share of pairs dropped, because newer ones came, above which the node warns.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
)

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in TABLE}


def defaults() -> dict[str, SettingValue]:
    """The default of every setting."""
    return {setting.name: setting.default for setting in TABLE}


def gain_settings(values: Settings) -> GainSettings:
    """The settings named ``thermal.*`` as the gain control takes them.

    Raises:
        ValueError: If two of them do not fit together.
    """
    prefix = "thermal."
    return GainSettings(
        **{name.removeprefix(prefix): v for name, v in values.items() if name.startswith(prefix)}
    )
