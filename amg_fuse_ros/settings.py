"""The one source of the node's settings.

This table gives the ROS parameters with their types, ranges and descriptions, the defaults in
``config/fusion.yaml``, the command line's options and the reference page in the documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amg_fuse_ros.engine import ENGINES
from amg_fuse_ros.imaging.thermal import GAINS, POLARITIES, GainSettings

SettingValue = bool | int | float | str
Settings = Mapping[str, Any]
"""Values by name, one for each entry of ``TABLE``."""


@dataclass(frozen=True)
class Setting:
    """One setting: its default gives its type."""

    name: str
    default: SettingValue
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    live: bool = False
    """Takes effect at once; others are read when the node is configured."""

    @property
    def type(self) -> type:
        """``bool``, ``int``, ``float`` or ``str``."""
        return type(self.default)

    def problem_with(self, value: object) -> str | None:
        """Why ``value`` cannot be taken, in words for people; ``None`` if it can."""
        if type(value) is not self.type:
            hint = f", write {value}.0" if self.type is float and type(value) is int else ""
            return (
                f"{self.name}: expected {_TYPE_NAMES[self.type]}, found {value!r} "
                f"({_TYPE_NAMES.get(type(value), type(value).__name__)}){hint}"
            )
        if self.choices and value not in self.choices:
            return f"{self.name}: expected one of {', '.join(self.choices)}, found {value!r}"
        if self.minimum is not None and not self.minimum <= value <= self.maximum:  # type: ignore[operator]
            return f"{self.name}: expected {self.minimum} to {self.maximum}, found {value}"
        return None


_TYPE_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    str: "a text",
}

TABLE: tuple[Setting, ...] = (
    Setting(
        "autostart",
        True,
        "Configure and activate at start; false waits for a lifecycle manager.",
    ),
    Setting(
        "network.weights",
        "",
        "Weights file (safetensors, or the authors' .pth); empty takes the shipped weights.",
    ),
    Setting(
        "network.size",
        "auto",
        "Size of the network; auto takes the size of the weights file (shipped: tiny).",
        choices=("auto", "tiny", "full"),
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
        "engine",
        "auto",
        "What runs the network; auto: eager, or what amg-fuse build-engine found to be faster.",
        choices=("auto", *ENGINES),
    ),
    Setting("device", "auto", "Where it runs: auto, cpu, cuda or cuda:N."),
    Setting(
        "precision",
        "auto",
        "Floating type of the network.",
        choices=("auto", "fp32", "bf16", "fp16", "fp64"),
    ),
    Setting(
        "registration",
        "",
        "Calibration file of the rig (amg-fuse calibrate); empty takes both cameras for one view.",
    ),
    Setting(
        "thermal.gain",
        "percentile",
        "How 16-bit counts are mapped. percentile: the window between two percentiles; equalize: "
        "that window with more contrast where most pixels are; range: fixed temperatures.",
        choices=GAINS,
        live=True,
    ),
    Setting(
        "thermal.low_percentile",
        0.5,
        "Percentile of the counts that becomes black.",
        minimum=0.0,
        maximum=50.0,
        live=True,
    ),
    Setting(
        "thermal.high_percentile",
        99.5,
        "Percentile of the counts that becomes white.",
        minimum=50.0,
        maximum=100.0,
        live=True,
    ),
    Setting(
        "thermal.range_low_c",
        -10.0,
        "Degrees Celsius that become black with the gain range (radiometric cameras).",
        minimum=-273.0,
        maximum=3000.0,
        live=True,
    ),
    Setting(
        "thermal.range_high_c",
        50.0,
        "Degrees Celsius that become white with the gain range.",
        minimum=-273.0,
        maximum=3000.0,
        live=True,
    ),
    Setting(
        "thermal.counts_per_kelvin",
        100.0,
        "Counts per kelvin of a radiometric camera: 100 for centikelvin, 25 for 0.04 K.",
        minimum=0.1,
        maximum=1000.0,
        live=True,
    ),
    Setting(
        "thermal.polarity",
        "white_hot",
        "black_hot turns the thermal image over, so that hot is bright, as the network knows it.",
        choices=POLARITIES,
        live=True,
    ),
    Setting(
        "thermal.adaptation",
        0.02,
        "Largest move of the window's ends from a frame to the next, in widths of the window; "
        "small is steady, 1 takes each frame by itself.",
        minimum=0.001,
        maximum=1.0,
        live=True,
    ),
    Setting(
        "thermal.repair_pixels",
        True,
        "Replace dead pixels of the thermal camera by the median of their neighbours.",
        live=True,
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
        "fused.encoding",
        "rgb8",
        "Encoding of the fused image.",
        choices=("rgb8", "bgr8"),
        live=True,
    ),
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
    Setting(
        "qos.output_reliability",
        "reliable",
        "Reliability offered to subscribers; reliable serves both kinds.",
        choices=("best_effort", "reliable"),
    ),
    Setting(
        "log_period_s",
        5.0,
        "Shortest time in seconds between two messages of the same kind in the log.",
        minimum=0.1,
        maximum=3600.0,
        live=True,
    ),
    Setting(
        "diagnostics_period_s",
        1.0,
        "Seconds between two messages on /diagnostics.",
        minimum=0.1,
        maximum=60.0,
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
