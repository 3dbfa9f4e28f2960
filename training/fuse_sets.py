"""Fuse sets of image pairs into folders, here or spread over workers; goes on where it ended."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from amg_fuse_ros.image_files import write_whole
from amg_fuse_ros.offline.manifest import Manifest, Stat, stat_of
from amg_fuse_ros.spread import Workers, spread
from training.metrics.folder import list_images, read_image

if TYPE_CHECKING:
    from training.evaluate import ImageSet

Image = npt.NDArray[np.uint8]
Fuse = Callable[[Image, Image], Image]
"""Thermal and visible (H W or H W 3 RGB, uint8) to fused, the same size."""

IN_THIS_PROCESS = Workers(1)


@dataclass(frozen=True)
class FuseJob:
    """A pair to fuse into a PNG file."""

    set_name: str
    thermal: Path
    visible: Path
    out: Path


def fuse_sets(
    prepare: Callable[[], Fuse],
    sets: "Sequence[ImageSet]",
    results: Path,
    *,
    workers: Workers = IN_THIS_PROCESS,
    card: Mapping[str, object] | None = None,
) -> dict[str, dict[str, str]]:
    """Fuse every pair of the sets into ``results/SET/NAME.png``.

    Args:
        prepare: Makes what fuses; called once in each worker, so it must be picklable.
        sets: From `find_sets`.
        results: Folder for the images.
        workers: Where to fuse.
        card: What the images depend on beside their inputs; those made of the same are kept.
            ``None`` makes all of them anew.

    Returns:
        What went wrong, by set and image name; the others are written.

    Raises:
        OSError: An image cannot be written.
    """
    problems: dict[str, dict[str, str]] = {images.name: {} for images in sets}
    jobs: list[FuseJob] = []
    with ExitStack() as stack:
        manifests: dict[str, Manifest] = {}
        for images in sets:
            folder = results / images.name
            folder.mkdir(parents=True, exist_ok=True)
            if card is not None:
                manifests[images.name] = stack.enter_context(Manifest(folder, card))
            thermal, visible = list_images(images.thermal), list_images(images.visible)
            for name in sorted(thermal.keys() & visible.keys()):
                out = folder / f"{name}.png"
                job = FuseJob(images.name, thermal[name], visible[name], out)
                known = manifests.get(images.name)
                if known is None or not known.is_complete(name, _inputs(job), [out]):
                    jobs.append(job)
        made_of = {job: _inputs(job) for job in jobs}
        outcomes = stack.enter_context(closing(spread(partial(_fuser, prepare), jobs, workers)))
        bar = Console(stderr=True)
        for outcome in track(outcomes, "fusing", total=len(jobs), console=bar, disable=not jobs):
            job = outcome.job
            if isinstance(outcome.cause, OSError):
                raise outcome.cause
            if outcome.result is None:
                problems[job.set_name][job.out.stem] = outcome.error
            elif job.set_name in manifests:
                manifests[job.set_name].note(job.out.stem, made_of[job])
    return problems


def _fuser(prepare: Callable[[], Fuse]) -> Callable[[FuseJob], bool]:
    return partial(_fuse_job, prepare())


def _fuse_job(fuse: Fuse, job: FuseJob) -> bool:
    fused = fuse(read_image(job.thermal), read_image(job.visible))
    if fused.ndim == 3:
        fused = cv2.cvtColor(fused, cv2.COLOR_RGB2BGR).astype(np.uint8)
    done, png = cv2.imencode(".png", fused)
    if not done:
        raise OSError(f"{job.out}: cannot be encoded as PNG")
    write_whole(job.out, png.tobytes())
    return True


def _inputs(job: FuseJob) -> dict[str, Stat]:
    return {"thermal": stat_of(job.thermal), "rgb": stat_of(job.visible)}
