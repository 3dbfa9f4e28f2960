"""What a detector finds in one image, and what its user may change while it runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """The objects found in one image, the most certain first.

    Raises:
        ValueError: The arrays are of different lengths, or a class has no name.
    """

    boxes: NDArray[np.float32]
    """N 4: x0, y0, x1, y1 in pixels of the image, 0 to its width and height."""
    scores: NDArray[np.float32]
    """N, 0 to 1."""
    class_ids: NDArray[np.int64]
    """N, keys of ``names``."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Class number to class name, of all classes that the network knows."""
    masks: NDArray[np.bool_] | None = None
    """N H W, of a network that segments."""
    track_ids: NDArray[np.int64] | None = None
    """N, the same for one object from image to image, where tracking is on."""

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4):
            raise ValueError(f"boxes: expected the shape N 4, found {self.boxes.shape}")
        for name in ("scores", "class_ids", "masks", "track_ids"):
            values = getattr(self, name)
            if values is not None and len(values) != count:
                raise ValueError(f"{name}: expected {count}, one for each box, found {len(values)}")
        if unnamed := sorted(set(self.class_ids.tolist()) - self.names.keys()):
            raise ValueError(f"class_ids: no names for the classes {unnamed}")

    def __len__(self) -> int:
        return len(self.boxes)

    def label(self, index: int) -> str:
        """The class name of one detection."""
        return self.names[int(self.class_ids[index])]

    def caption(self, index: int) -> str:
        """Class, track and score of one detection for people: ``car #7 83%``."""
        words = [self.label(index)]
        if self.track_ids is not None:
            words.append(f"#{self.track_ids[index]}")
        return " ".join([*words, f"{100 * self.scores[index]:.0f}%"])


@dataclass(frozen=True)
class DetectionSettings:
    """What may change between two images without loading the network again.

    Raises:
        ValueError: A value is out of its range.
    """

    confidence: float = 0.25
    """Least score, 0 to 1. With tracking, the least score at which a track begins or goes on
    without doubt; ByteTrack carries a track over images in which its object scores as low as 0.1.
    """
    iou: float = 0.7
    """Of two boxes of a class that overlap by more than this, the less certain is dropped, 0 to 1.
    """
    classes: Sequence[str] = ()
    """Names of the classes to report; empty: all."""
    max_detections: int = 100
    """The most certain ones that an image may have, 1 or more."""
    tracking: bool = False
    """Whether objects get ids that stay from image to image (ByteTrack).

    An object that appears after the first image is reported when it is seen a second time.
    """

    def __post_init__(self) -> None:
        for name in ("confidence", "iou"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise ValueError(f"{name} is {value}; expected 0 to 1")
        if self.max_detections < 1:
            raise ValueError(f"max_detections is {self.max_detections}; expected 1 or more")
        if isinstance(self.classes, str):
            raise ValueError(f"classes is {self.classes!r}; expected a list of class names")
