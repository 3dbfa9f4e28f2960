"""Frames of two cameras in the order they came, and what fuses them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage, as_thermal
from amg_fuse_ros.imaging.local_mask import local_mask
from amg_fuse_ros.imaging.thermal import ThermalGain
from training.baselines import fuse_baseline
from training.data.images import THERMAL_FLAGS, decode, read_bytes, read_visible
from training.metrics.folder import list_images

FEWEST_FRAMES = 3


@dataclass(frozen=True)
class Video:
    """Frames of both cameras, one of each at every instant.

    Attributes:
        name: What to call it.
        thermal: uint8 or uint16 (counts), H W each, of the visible frames' size.
        visible: uint8, H W 3 RGB.
    """

    name: str
    thermal: tuple[NDArray[Any], ...]
    visible: tuple[ByteImage, ...]

    def __len__(self) -> int:
        return len(self.visible)

    @property
    def has_counts(self) -> bool:
        """Whether the thermal frames are a camera's 16-bit counts."""
        return self.thermal[0].dtype == np.uint16

    def thermal_bytes(self) -> tuple[ByteImage, ...]:
        """The thermal frames as the network sees them, through the steady gain, in 8 bits."""
        gain = ThermalGain()
        return tuple(cv2.convertScaleAbs(gain(frame), alpha=255) for frame in self.thermal)


@dataclass(frozen=True)
class FusedVideo:
    """What became of a video.

    Attributes:
        images: uint8, H W 3 RGB, or H W luminance.
        masks: float32, H W in [0, 1]: the visible camera's share.
    """

    images: tuple[ByteImage, ...]
    masks: tuple[FloatImage, ...]


FuseVideo = Callable[[Video], FusedVideo]


def by_fuser(fuser: Fuser, tick: Callable[[], object] = lambda: None) -> FuseVideo:
    """Fuse frame by frame as the node does; each video begins anew.

    Args:
        fuser: Made with ``steady=True`` for what the node does.
        tick: Called after each frame, for a progress bar.
    """

    def fuse(video: Video) -> FusedVideo:
        fuser.reset()
        images, masks = [], []
        for thermal, visible in zip(video.thermal, video.visible, strict=True):
            frame = fuser.fuse(thermal, visible)
            images.append(frame.image)
            masks.append(frame.mask)
            tick()
        return FusedVideo(tuple(images), tuple(masks))

    return fuse


def by_baseline(name: str) -> FuseVideo:
    """Fuse by one of :data:`training.baselines.BASELINES`; the mask is the local one."""

    def fuse(video: Video) -> FusedVideo:
        images, masks = [], []
        for thermal, visible in zip(video.thermal_bytes(), video.visible, strict=True):
            fused = fuse_baseline(name, thermal, visible)
            images.append(fused)
            unit = (np.float32(x) / np.float32(255) for x in (fused, visible, thermal))
            grey, rgb, warm = unit
            masks.append(local_mask(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), rgb, warm))
        return FusedVideo(tuple(images), tuple(masks))

    return fuse


def read_video(thermal: Path, visible: Path, name: str, frames: int | None = None) -> Video:
    """Read the first frames that both folders have, in the order of their names.

    Thermal frames of another size are resized to the visible ones, as the node does.

    Args:
        thermal: Folder of 8- or 16-bit images.
        visible: Folder of images with the same names.
        name: What to call it.
        frames: At most so many; all by default.

    Raises:
        FileNotFoundError: A folder is not there.
        ValueError: A frame cannot be read, sizes or types change within the video, or there are
            fewer than three.
    """
    files = list_images(thermal), list_images(visible)
    names = sorted(files[0].keys() & files[1].keys())
    if frames is not None:
        names = names[: max(0, frames)]
    if len(names) < FEWEST_FRAMES:
        raise ValueError(
            f"{thermal.parent}: expected {FEWEST_FRAMES} frames or more that {thermal.name}/ and "
            f"{visible.name}/ both have, found {len(names)}"
        )
    colors = [read_visible(files[1][name]) for name in names]
    height, width = colors[0].shape[:2]
    heats: list[NDArray[Any]] = []
    for number, color in zip(names, colors, strict=True):
        path = files[0][number]
        heat = as_thermal(decode(read_bytes(path), path, THERMAL_FLAGS))
        _check_same(path, heat, heats)
        _check_same(files[1][number], color, colors)
        heats.append(heat)
    if heats[0].shape != (height, width):
        heats = [cv2.resize(heat, (width, height)) for heat in heats]
    return Video(name, tuple(heats), tuple(colors))


def _check_same(path: Path, image: NDArray[Any], others: Sequence[NDArray[Any]]) -> None:
    if others and (image.shape, image.dtype) != (others[0].shape, others[0].dtype):
        raise ValueError(
            f"{path}: expected {others[0].shape} {others[0].dtype} as the frames before, found "
            f"{image.shape} {image.dtype}"
        )
