"""Objects in an image by a YOLO network that ultralytics loads; no ROS."""

from amg_fuse_ros.detection.conversion import convert
from amg_fuse_ros.detection.detections import Detections, DetectionSettings
from amg_fuse_ros.detection.detector import Detector
from amg_fuse_ros.detection.drawing import draw
from amg_fuse_ros.detection.vision_fields import (
    detection_array_fields,
    label_info_fields,
    vision_info_fields,
)

__all__ = [
    "DetectionSettings",
    "Detections",
    "Detector",
    "convert",
    "detection_array_fields",
    "draw",
    "label_info_fields",
    "vision_info_fields",
]
