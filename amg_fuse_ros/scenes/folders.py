"""Scenes as folders of pictures and labels, as `amg-fuse` and detectors read them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes.scene import LABELS, Scene, ScenePair


def write_folders(
    out: Path,
    scenes: Sequence[tuple[Scene, float, float]],
    fps: float = 10.0,
    *,
    least_visible: float = 0.25,
) -> int:
    """Write ``thermal/NNNNNN.png``, ``rgb/NNNNNN.png`` and ``labels/NNNNNN.txt``.

    Frames are numbered through from 000000. A label line is ``class cx cy w h``, relative to the
    picture's size; ``classes.txt`` names the classes in their order.

    Args:
        out: Folder, created where it does not exist.
        scenes: Scenes one after the other, each with the second at which it is entered and its
            duration in seconds.
        fps: Frames per second.
        least_visible: Objects of which less is visible get no label.

    Returns:
        The number of frames.

    Raises:
        ValueError: No scenes, or ``fps`` or a duration is not above 0.
        OSError: A picture could not be written.
    """
    if not scenes:
        raise ValueError("no scenes; expected at least one (scene, start, seconds)")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; expected a number above 0")
    for _, _, seconds in scenes:
        if not (np.isfinite(seconds) and seconds > 0):
            raise ValueError(f"a scene's duration is {seconds} s; expected a number above 0")
    for name in ("thermal", "rgb", "labels"):
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / "classes.txt").write_text("".join(f"{label}\n" for label in LABELS))
    number = 0
    for scene, start, seconds in scenes:
        for i in range(max(round(seconds * fps), 1)):
            pair = scene.frame(start + i / fps)
            _write_png(out / "thermal" / f"{number:06d}.png", pair.thermal)
            _write_png(out / "rgb" / f"{number:06d}.png", cv2.cvtColor(pair.rgb, cv2.COLOR_RGB2BGR))
            lines = label_lines(pair, least_visible)
            (out / "labels" / f"{number:06d}.txt").write_text("".join(lines))
            number += 1
    return number


def label_lines(pair: ScenePair, least_visible: float) -> list[str]:
    """A frame's label lines, each with its line break; see `write_folders`."""
    height, width = pair.rgb.shape[:2]
    lines = []
    for box in pair.boxes:
        if box.visible_fraction >= least_visible:
            cx, cy = (box.x0 + box.x1) / 2 / width, (box.y0 + box.y1) / 2 / height
            w, h = (box.x1 - box.x0) / width, (box.y1 - box.y0) / height
            lines.append(f"{LABELS.index(box.label)} {cx:.6f} {cy:.6f} {w:.6f} {h:.6f}\n")
    return lines


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 2])
    if not done:
        raise OSError(f"could not encode {path.name} as PNG")
    path.write_bytes(data.tobytes())
