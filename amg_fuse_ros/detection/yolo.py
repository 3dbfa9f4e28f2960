"""The one module that touches ultralytics (AGPL-3.0), an optional part of the installation.

It is imported when a network is loaded. Facts about it are from its documentation and its version
8.4: images are given as BGR, ``quantize=16`` is half precision, ``retina_masks`` gives masks of the
image's size, and ``BYTETracker.update`` returns rows of x0, y0, x1, y1, id, score, class, index of
the detection.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from amg_fuse_ros.detection.detections import Detections, DetectionSettings

logger = logging.getLogger(__name__)

TASKS = ("detect", "segment")
LEAST_TRACKED_SCORE = 0.1
"""ByteTrack's second association looks at boxes from this score on (ByteTrack, section 3)."""
TRACK_BUFFER = 30
"""Images for which a lost track waits to be found again."""
MATCH_COST = 0.8
"""Largest cost, 1 - IoU, at which a box continues a track."""
SCORES_COUNT_FROM = 0.5
"""From this confidence on the cost is 1 - IoU times score.

ByteTrack multiplies so for scores of 0.6 and more. A box of score 0.25 could never confirm a new
track, for which the cost may be 0.7 at most.
"""


class Yolo:
    """A network as ultralytics runs it, with one ByteTrack tracker where tracking is on.

    See :meth:`amg_fuse_ros.detection.Detector.load` for the arguments and errors.
    """

    def __init__(self, path: Path, device: str, half: bool) -> None:
        ultralytics = _import_quietly("ultralytics")
        backend = import_module("ultralytics.nn.autobackend").AutoBackend
        self.device = _device(device)
        on_cuda = self.device.startswith("cuda")
        with _in_words(path):
            # ultralytics takes the task from the file's name where it is not told, so it is read.
            loaded = backend(str(path), device=torch.device(self.device), verbose=False)
            self.task = str(loaded.task or "detect")
            self.names = {int(number): str(name) for number, name in loaded.names.items()}
            del loaded
            self._model = ultralytics.YOLO(str(path), task=self.task)
        if self.task not in TASKS:
            raise ValueError(
                f"{path} is made for the task {self.task}; expected one for detect or segment"
            )
        self._options = {"device": self.device, "verbose": False, "retina_masks": True}
        if half and on_cuda:
            self._options["quantize"] = 16
        self._tracker: Any = None
        with _in_words(path), _process_kept():  # the first image sets up the rest
            self.run(np.full((32, 32, 3), 114, np.uint8), DetectionSettings())

    def check_tracker(self) -> None:
        """Find out whether there can be a tracker.

        Raises:
            ModuleNotFoundError: The tracker's library is missing.
        """
        _import_quietly("lap")  # ultralytics would try to install it

    def track(self, settings: DetectionSettings) -> None:
        """Give ids from the next image on; a tracker at work keeps its tracks."""
        values = SimpleNamespace(
            track_high_thresh=settings.confidence,
            track_low_thresh=min(LEAST_TRACKED_SCORE, settings.confidence),
            new_track_thresh=settings.confidence,
            track_buffer=TRACK_BUFFER,
            match_thresh=MATCH_COST,
            fuse_score=settings.confidence >= SCORES_COUNT_FROM,
        )
        if self._tracker is None:
            module = import_module("ultralytics.trackers.byte_tracker")
            self._tracker = module.BYTETracker(args=values)
        else:
            self._tracker.args = values

    def forget_tracks(self) -> None:
        """Give no ids until :meth:`track` is called again."""
        self._tracker = None

    def run(self, image: NDArray[np.uint8], settings: DetectionSettings) -> Detections:
        """The detections in an RGB image, H W 3, uint8."""
        tracking = settings.tracking and self._tracker is not None
        wanted = [number for number, name in self.names.items() if name in settings.classes]
        least = settings.confidence
        if tracking:
            least = min(least, LEAST_TRACKED_SCORE)
        found = self._model.predict(
            np.ascontiguousarray(image[..., ::-1]),
            conf=least,
            iou=settings.iou,
            classes=wanted or None,
            max_det=settings.max_detections,
            **self._options,
        )[0].cpu()
        found = found.numpy()
        boxes, scores, classes = found.boxes.xyxy, found.boxes.conf, found.boxes.cls
        masks = None
        if self.task == "segment":
            shape = (0, *image.shape[:2])
            masks = np.zeros(shape, bool) if found.masks is None else found.masks.data.astype(bool)
        ids = None
        if tracking:
            rows = np.asarray(self._tracker.update(found.boxes), np.float64).reshape(-1, 8)
            rows = rows[np.argsort(-rows[:, 5], kind="stable")]
            which = rows[:, 7].astype(np.int64)
            # The boxes as the network drew them: the tracker's are its filter's estimates.
            boxes, scores, classes = boxes[which], scores[which], classes[which]
            masks = None if masks is None else masks[which]
            ids = rows[:, 4].astype(np.int64)
        return Detections(
            boxes=_inside(boxes, image.shape[0], image.shape[1]),
            scores=scores.astype(np.float32),
            class_ids=classes.astype(np.int64),
            names=self.names,
            masks=masks,
            track_ids=ids,
        )


def export(path: Path, form: str, size: tuple[int, int], *, half: bool, device: str) -> Path:
    """Write a ``.pt`` network in another form, beside its file.

    See :func:`amg_fuse_ros.detection.conversion.convert` for the arguments and errors.

    Returns:
        What was written.
    """
    ultralytics = _import_quietly("ultralytics")
    where = _device(device)
    options: dict[str, Any] = {"format": form, "imgsz": list(size), "batch": 1, "device": where}
    if form != "openvino":
        options["simplify"] = False  # it would need one more library
    if half:
        options["quantize"] = 16
    with _in_words(path, f"convert it to {form}"), _process_kept():
        return Path(ultralytics.YOLO(str(path)).export(verbose=False, **options))


def _inside(boxes: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes.astype(np.float32).reshape(-1, 4), 0, limits)


def _import_quietly(name: str) -> Any:
    """Import a library of the extra ``detect``; a node in a vehicle never installs or calls home.

    Raises:
        ModuleNotFoundError: It is not installed; the message says how to.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    try:
        with _process_kept():
            return import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"detection needs {name}, which is not installed: pip install 'amg_fuse_ros[detect]' "
            "(ultralytics is AGPL-3.0: see the README before you ship it)",
            name=error.name,
        ) from error


@contextmanager
def _process_kept() -> Iterator[None]:
    """Keep what ultralytics changes for the whole process while it is imported and set up.

    It turns OpenCV's threads off, gives PyTorch its own number of them and changes how numpy
    prints: a fusion node beside the detector would slow down.
    """
    opencv, pytorch, printing = cv2.getNumThreads(), torch.get_num_threads(), np.get_printoptions()
    try:
        yield
    finally:
        cv2.setNumThreads(opencv)
        torch.set_num_threads(pytorch)
        np.set_printoptions(**printing)


@contextmanager
def _in_words(path: Path, what: str = "load it as a network") -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of any kind: ultralytics and each runtime have their own
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
        raise ValueError(
            f"{path}: ultralytics cannot {what} ({reason}). Check that the file is "
            "whole and its runtime installed, or export it again"
        ) from error


def _device(wanted: str) -> str:
    """The device in PyTorch's words.

    Raises:
        ValueError: It is not there.
    """
    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(f"device is {wanted!r}; expected auto, cpu or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {wanted!r}; PyTorch finds {torch.cuda.device_count()} CUDA devices here"
        )
    if device.type not in {"cpu", "cuda"}:
        raise ValueError(f"device is {wanted!r}; expected auto, cpu or cuda:N")
    return f"cuda:{device.index or 0}" if device.type == "cuda" else "cpu"
