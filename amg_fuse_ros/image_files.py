"""Fuse image files of two folders into a third."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.bags.folders import read_rgb, read_thermal
from amg_fuse_ros.imaging.visualize import color_mask, mask_to_bytes, side_by_side

if TYPE_CHECKING:
    from amg_fuse_ros.fusion import Fuser

PARTIAL = ".partial-"
"""In the hidden names of files that are being written; a killed process leaves them behind."""


@dataclass(frozen=True)
class FileJob:
    """A pair of files to fuse, and what to write."""

    thermal: Path
    rgb: Path
    image: Path
    mask: Path | None = None
    panels: Path | None = None

    @property
    def outputs(self) -> list[Path]:
        """What is written, the image last: where it is, the others are, too."""
        return [path for path in (self.mask, self.panels, self.image) if path is not None]


class FilesResult(NamedTuple):
    """What became of the pairs."""

    fused: int
    problems: list[str]
    """A line for each pair that could not be fused, with its name and why."""


def file_jobs(
    pairs: Sequence[tuple[Path, Path]],
    out: Path,
    *,
    mask: bool = False,
    side_by_side: bool = False,
) -> list[FileJob]:
    """What to fuse and to write for pairs of files: ``NAME.png``, named after the RGB file.

    Args:
        pairs: Thermal and RGB files.
        out: Folder for the results.
        mask: Also ``mask/NAME.png``, 0..255.
        side_by_side: Also ``side_by_side/NAME.png``: RGB, thermal, fused, mask in colour.

    Raises:
        ValueError: If a folder to write into holds sources, which would be overwritten.
    """
    sources = {path.parent.resolve() for pair in pairs for path in pair}
    mask_folder, panels_folder = out / "mask", out / "side_by_side"
    for folder, written in ((out, True), (mask_folder, mask), (panels_folder, side_by_side)):
        if written and folder.resolve() in sources:
            raise ValueError(
                f"{folder} holds source images, which would be overwritten; name another"
            )
    names = [f"{rgb.stem}.png" for _, rgb in pairs]
    return [
        FileJob(
            *pair,
            out / name,
            mask_folder / name if mask else None,
            panels_folder / name if side_by_side else None,
        )
        for pair, name in zip(pairs, names, strict=True)
    ]


def fuse_file(fuser: "Fuser", job: FileJob) -> str:
    """Fuse one pair of files; each result is written whole or not at all.

    Returns:
        What fused: engine, precision and device.

    Raises:
        ValueError: If a file cannot be read or the pair not be fused; names the file.
        OSError: If a result cannot be written.
    """
    try:
        thermal, rgb = read_thermal(job.thermal), read_rgb(job.rgb)
        frame = fuser.fuse(thermal, rgb)
    except ValueError as error:
        named = str(job.rgb) in str(error) or str(job.thermal) in str(error)
        raise ValueError(str(error) if named else f"{job.rgb}: {error}") from error
    if job.mask is not None:
        _write(job.mask, mask_to_bytes(frame.mask))
    if job.panels is not None:
        _write(job.panels, _panels(thermal, rgb, frame.image, frame.mask))
    _write(job.image, frame.image)
    return f"{fuser.engine.name} {fuser.engine.precision} on {fuser.engine.device}"


def fuse_files(
    pairs: Sequence[tuple[Path, Path]],
    out: Path,
    fuser: "Fuser",
    *,
    mask: bool = False,
    side_by_side: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FilesResult:
    """Fuse pairs of files in this process; see `file_jobs` for what is written.

    Args:
        pairs: Thermal and RGB files.
        out: Folder for the results, created when it is not there.
        fuser: What fuses.
        mask: Also write masks.
        side_by_side: Also write panels.
        progress: Called with the number of pairs done and their total.

    Raises:
        ValueError: If a folder to write into holds sources, which would be overwritten.
        OSError: If a result cannot be written.
    """
    problems = []
    jobs = file_jobs(pairs, out, mask=mask, side_by_side=side_by_side)
    for done, job in enumerate(jobs):
        try:
            fuse_file(fuser, job)
        except ValueError as error:
            problems.append(str(error))
        if progress is not None:
            progress(done + 1, len(jobs))
    return FilesResult(len(jobs) - len(problems), problems)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file and make its folder; under its name it is whole or not there.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}{PARTIAL}", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp gives a file to its owner alone; results are for those whom the umask lets read.
        Path(partial).chmod(0o666 & ~_umask())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype(np.uint8)
    done, data = cv2.imencode(".png", image)
    if not done:
        raise OSError(f"{path}: cannot be encoded as PNG")
    write_whole(path, data.tobytes())
