"""Fuse image files of two folders into a third."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.bags.folders import read_rgb, read_thermal
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.imaging.visualize import color_mask, mask_to_bytes, side_by_side


class FilesResult(NamedTuple):
    """What became of the pairs."""

    fused: int
    problems: list[str]
    """A line for each pair that could not be fused, with its name and why."""


def fuse_files(
    pairs: Sequence[tuple[Path, Path]],
    out: Path,
    fuser: Fuser,
    *,
    mask: bool = False,
    side_by_side: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FilesResult:
    """Fuse pairs of files and write ``NAME.png``, named after the RGB file.

    Args:
        pairs: Thermal and RGB files.
        out: Folder for the results, created when it is not there.
        fuser: What fuses.
        mask: Also write ``mask/NAME.png``, 0..255.
        side_by_side: Also write ``side_by_side/NAME.png``: RGB, thermal, fused, mask in colour.
        progress: Called with the number of pairs done and their total.

    Raises:
        ValueError: If a folder to write into holds sources, which would be overwritten.
        OSError: If a result cannot be written.
    """
    sources = {path.parent.resolve() for pair in pairs for path in pair}
    mask_folder, panels_folder = out / "mask", out / "side_by_side"
    for folder, written in ((out, True), (mask_folder, mask), (panels_folder, side_by_side)):
        if written and folder.resolve() in sources:
            raise ValueError(
                f"{folder} holds source images, which would be overwritten; name another"
            )
    problems = []
    for done, (thermal_file, rgb_file) in enumerate(pairs):
        try:
            thermal, rgb = read_thermal(thermal_file), read_rgb(rgb_file)
            frame = fuser.fuse(thermal, rgb)
        except ValueError as error:
            problems.append(str(error) if str(rgb_file) in str(error) else f"{rgb_file}: {error}")
        else:
            name = f"{rgb_file.stem}.png"
            _write(out / name, frame.image)
            if mask:
                _write(mask_folder / name, mask_to_bytes(frame.mask))
            if side_by_side:
                _write(panels_folder / name, _panels(thermal, rgb, frame.image, frame.mask))
        if progress is not None:
            progress(done + 1, len(pairs))
    return FilesResult(len(pairs) - len(problems), problems)


def _panels(
    thermal: NDArray[Any], rgb: NDArray[Any], fused: NDArray[Any], mask: NDArray[np.float32]
) -> NDArray[np.uint8]:
    return side_by_side(
        {
            "RGB": rgb,
            "thermal": thermal,
            "fused": fused,
            "mask: blue RGB, red thermal": color_mask(mask),
        }
    )


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype(np.uint8)
    done, data = cv2.imencode(".png", image)
    if not done:
        raise OSError(f"{path}: cannot be encoded as PNG")
    path.write_bytes(data.tobytes())
