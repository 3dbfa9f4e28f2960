"""The one source of the detector node's settings.

As `amg_fuse_ros.settings` does for the fusion node, it gives ``config/detector.yaml``, its
schema and the reference page in the documents.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from amg_fuse_ros.common_settings import (
    AUTOSTART,
    DEVICE,
    DIAGNOSTICS_PERIOD,
    LOG_PERIOD,
    OUTPUT_RELIABILITY,
    WARN_LATENCY,
)
from amg_fuse_ros.resolution import PATTERN, WORDS
from amg_fuse_ros.setting import Form, Setting, Settings

if TYPE_CHECKING:  # torch takes seconds to import
    from amg_fuse_ros.detection import DetectionSettings

__all__ = ["BY_NAME", "TABLE", "Setting", "detection_settings"]

TABLE: tuple[Setting, ...] = (
    AUTOSTART,
    Setting(
        "model",
        "",
        "Network file or folder that ultralytics loads: .onnx, .engine, an OpenVINO folder, or .pt "
        "(a pickle: it runs the code it carries); empty takes the detector that is shipped.",
    ),
    DEVICE,
    Setting("half", True, "Half precision on CUDA; without effect on a CPU."),
    Setting(
        "warm_up",
        "640x480",
        "WxH of the images to come; the network is run once on such a one when it is configured.",
        form=Form(PATTERN, WORDS),
    ),
    Setting(
        "confidence",
        0.25,
        "Least score of what is reported.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
    Setting(
        "iou",
        0.7,
        "Of two boxes of a class that overlap by more than this, the less certain is dropped.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
    Setting(
        "classes",
        "",
        "Names of the classes to report, separated by commas; empty: all that the network knows.",
        live=True,
    ),
    Setting(
        "max_detections",
        100,
        "The most certain ones that an image may have.",
        minimum=1,
        maximum=10_000,
        live=True,
    ),
    Setting(
        "tracking",
        False,
        "Give objects ids that stay from image to image (ByteTrack).",
        live=True,
    ),
    Setting(
        "class_id",
        "number",
        "What class_id holds: the class's number, as vision_msgs has it, to be looked up in "
        "detections/vision_info or label_info; or its name.",
        choices=("number", "name"),
        live=True,
    ),
    Setting(
        "transport.image",
        "raw",
        "How the images come: raw, or compressed (PNG or JPEG) on the topic's /compressed.",
        choices=("raw", "compressed"),
    ),
    Setting(
        "transport.output",
        "raw",
        "How the image with the boxes is published: raw, compressed (JPEG), or both.",
        choices=("raw", "compressed", "both"),
    ),
    Setting(
        "transport.jpeg_quality",
        90,
        "Quality of the compressed image with the boxes.",
        minimum=1,
        maximum=100,
        live=True,
    ),
    Setting(
        "lazy",
        True,
        "Subscribe to the images only while somebody subscribes to detections or their image.",
        live=True,
    ),
    Setting(
        "hang_timeout_s",
        30.0,
        "Seconds after which an image under way is given up and the network is loaded anew; "
        "0 waits for ever.",
        minimum=0.0,
        maximum=3600.0,
        live=True,
    ),
    Setting(
        "faults.missing_after_s",
        2.0,
        "Seconds without an image after which that is a fault.",
        minimum=0.1,
        maximum=3600.0,
        live=True,
    ),
    Setting(
        "qos.input_reliability",
        "best_effort",
        "Reliability asked of the images; best_effort is understood by every publisher.",
        choices=("best_effort", "reliable"),
    ),
    OUTPUT_RELIABILITY,
    LOG_PERIOD,
    DIAGNOSTICS_PERIOD,
    WARN_LATENCY,
    Setting(
        "diagnostics.warn_dropped",
        0.5,
        "Share of images dropped, because newer ones came, above which the node warns.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
)

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in TABLE}


def detection_settings(values: Settings) -> "DetectionSettings":
    """The settings of the detector itself, of which some may change between two images.

    Raises:
        ValueError: If one is out of its range.
    """
    from amg_fuse_ros.detection import DetectionSettings

    classes = (name.strip() for name in str(values["classes"]).split(","))
    return DetectionSettings(
        confidence=float(values["confidence"]),
        iou=float(values["iou"]),
        classes=tuple(name for name in classes if name),
        max_detections=int(values["max_detections"]),
        tracking=bool(values["tracking"]),
    )
