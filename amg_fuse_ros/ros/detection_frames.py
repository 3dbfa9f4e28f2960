"""From an image message to published detections: what the detector's worker thread does."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from amg_fuse_ros.detection import Detector
from amg_fuse_ros.detector_settings import detection_settings
from amg_fuse_ros.monitoring import Statistics
from amg_fuse_ros.ros.detector_outputs import DetectionOutputs
from amg_fuse_ros.ros.image_messages import ImageMessageError
from amg_fuse_ros.ros.time_jumps import NANOSECONDS, age_s_of
from amg_fuse_ros.setting import Settings


class DetectionJob(NamedTuple):
    """An image to look at."""

    read: Callable[[], NDArray[np.uint8]]
    """Gives it as H W 3, RGB, or raises `ImageMessageError`."""
    header: Header
    arrived: float
    """When it came, monotonic seconds."""


class DetectionMaker:
    """Looks at one image after the other; belongs to the worker's thread.

    Attributes:
        detector: What looks.
    """

    def __init__(
        self,
        detector: Detector,
        outputs: DetectionOutputs,
        statistics: Statistics,
        settings: Settings,
        now_ns: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            detector: What looks.
            outputs: Where to publish.
            statistics: Counts images, keeps the durations of stages.
            settings: The node's, read anew for each image.
            now_ns: The node's clock.
        """
        self.detector = detector
        self._outputs = outputs
        self._statistics = statistics
        self._settings = settings
        self._now_ns = now_ns
        self._forget = threading.Event()

    def forget_tracks(self) -> None:
        """Begin tracking anew with the next image; from any thread, without waiting."""
        self._forget.set()

    def __call__(self, job: DetectionJob) -> Callable[[], None] | None:
        """Look at an image.

        Returns:
            What publishes the result; ``None`` if the image could not be read.
        """
        began = monotonic()
        try:
            image = job.read()
        except ImageMessageError:  # the camera's monitor tells it
            self._statistics.count("refused")
            return None
        converted = monotonic()
        self._heed_settings()
        found = self.detector.detect(image)
        detected = monotonic()

        def publish() -> None:
            ready = monotonic()
            self._outputs.publish(found, image, job.header, self._settings)
            done = monotonic()
            self._statistics.count("detected")
            self._statistics.count("objects", len(found))
            for stage, seconds in (
                ("wait", began - job.arrived),
                ("convert", converted - began),
                ("detect", detected - converted),
                ("publish", done - ready),
                ("latency", done - job.arrived),
            ):
                self._statistics.add(stage, seconds)
            stamp = job.header.stamp
            age_s = age_s_of(stamp.sec * NANOSECONDS + stamp.nanosec, self._now_ns())
            if age_s is not None:
                self._statistics.add("age", age_s)

        return publish

    def _heed_settings(self) -> None:
        """Live settings are put into effect here, between two images and in their thread."""
        wanted = detection_settings(self._settings)
        if wanted != self.detector.settings:
            self.detector.change_settings(wanted)
        if self._forget.is_set():
            self._forget.clear()
            self.detector.forget_tracks()
