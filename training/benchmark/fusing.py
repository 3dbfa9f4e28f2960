"""Fuse every pair by every method, once: what was fused before with the same content is kept."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import track

from amg_fuse_ros.spread import Workers
from amg_fuse_ros.spread import spread as spread_over
from training.benchmark.identity import ROOT, FusedStore, image_key, write_whole
from training.benchmark.methods import CLEAN, Method
from training.benchmark.pipeline import load
from training.evaluate import ImageSet
from training.metrics.folder import list_images, read_image

T = TypeVar("T")
R = TypeVar("R")
Spread = Callable[[Callable[[T], R], Sequence[T]], Iterator[R]]
"""What carries out jobs: the built-in ``map``, or `over` several processes or hosts.

The answers may come in any order.
"""


@dataclass(frozen=True)
class FusingJob:
    """One image to fuse. It can be sent to another process; the files are read there.

    Attributes:
        method: How.
        set_name: Which set it is in.
        thermal: Input file.
        visible: Input file.
        key: Where the store keeps the result.
        out: Where the result is wanted.
    """

    method: Method
    set_name: str
    thermal: Path
    visible: Path
    key: str
    out: Path


@dataclass(frozen=True)
class Fused:
    """What became of a job: a PNG file's content, or why there is none."""

    job: FusingJob
    png: bytes = b""
    problem: str = ""


@dataclass
class FusedSet:
    """One method's images of one set: a folder, and what went wrong by image name.

    ``fresh`` counts the images that were fused now and not taken from the store.
    """

    folder: Path
    problems: dict[str, str] = field(default_factory=dict)
    fresh: int = 0


def inputs_of(method: Method, images: ImageSet) -> tuple[Path, Path] | None:
    """Folders of the thermal and visible images that a method sees.

    Returns:
        ``None`` where it is to be handed the clean pair and the set has none.
    """
    if method.restore != CLEAN:
        return images.thermal, images.visible
    if images.clean_thermal is None or images.clean_visible is None:
        return None
    return images.clean_thermal, images.clean_visible


def fuse_all(
    methods: Sequence[Method],
    sets: Sequence[ImageSet],
    out: Path,
    store: FusedStore,
    *,
    spread: Spread = map,
) -> dict[tuple[str, str], FusedSet]:
    """Bring the fused images of all methods and sets to ``out/METHOD/SET/NAME.png``.

    A pair that cannot be fused is left out, with the reason; an image of an earlier run under its
    name is removed. Results of others are used where they lie, in a subfolder named like the set
    or, where there is one set only, in the folder itself.

    Args:
        methods: From a file of methods.
        sets: From :func:`training.evaluate.find_sets`.
        out: Folder for the images.
        store: Keeps them by content over runs; an interrupted run goes on where it was.
        spread: Carries out the jobs that are not in the store.

    Returns:
        By names of method and set; without the sets that a method cannot or did not do.

    Raises:
        OSError: An image cannot be written.
    """
    results: dict[tuple[str, str], FusedSet] = {}
    jobs: list[FusingJob] = []
    for method in methods:
        for images in sets:
            place = method.name, images.name
            if method.kind == "results":
                if folder := _results_folder(method, images, alone=len(sets) == 1):
                    results[place] = FusedSet(folder)
            elif inputs := inputs_of(method, images):
                fused_set = FusedSet(out / folder_name(method.name) / images.name)
                results[place] = fused_set
                jobs += _missing(method, images.name, inputs, fused_set, store)

    bar = Console(stderr=True)
    with ExitStack() as stack:
        answers = spread(fuse_job, jobs)
        if isinstance(answers, Generator):
            stack.callback(answers.close)  # ends the workers when this loop is left early
        for fused in track(answers, "fusing", total=len(jobs), console=bar, disable=not jobs):
            job = fused.job
            fused_set = results[job.method.name, job.set_name]
            if fused.problem:
                fused_set.problems[job.out.stem] = fused.problem
                job.out.unlink(missing_ok=True)
            else:
                store.keep(job.key, fused.png)
                write_whole(job.out, fused.png)
                fused_set.fresh += 1
    return results


def _missing(
    method: Method, set_name: str, inputs: tuple[Path, Path], fused: FusedSet, store: FusedStore
) -> Iterator[FusingJob]:
    """Bring what the store has to the folder of a set, and yield a job for each other pair."""
    fused.folder.mkdir(parents=True, exist_ok=True)
    thermal, visible = (list_images(folder) for folder in inputs)
    for name in sorted(thermal.keys() & visible.keys()):
        path = fused.folder / f"{name}.png"
        pair = thermal[name].resolve(), visible[name].resolve()
        try:
            key = image_key(method, *pair)
        except OSError as error:
            fused.problems[name] = f"{error.filename}: {error.strerror}"
            path.unlink(missing_ok=True)
            continue
        png = store.recall(key)
        if png is None:
            yield FusingJob(method, set_name, *pair, key, path)
        elif not path.is_file() or path.read_bytes() != png:
            write_whole(path, png)


def over(workers: Workers) -> Spread:
    """Carry out jobs by processes of this machine or by a Ray cluster's workers.

    With Ray, data, weights and methods must lie under the same paths on every host. A worker that
    dies costs the image it was at.
    """
    workers = replace(workers, code=(*workers.code, ROOT / "training"))

    def carry_out(
        function: Callable[[FusingJob], Fused], jobs: Sequence[FusingJob]
    ) -> Iterator[Fused]:
        for outcome in spread_over(partial(_hand_over, function), jobs, workers):
            yield outcome.result or Fused(outcome.job, problem=outcome.error)

    return carry_out


def _hand_over(function: Callable[[FusingJob], Fused]) -> Callable[[FusingJob], Fused]:
    return function


def fuse_job(job: FusingJob) -> Fused:
    """Fuse one pair; whatever goes wrong with it is told in the answer."""
    try:
        thermal, visible = read_image(job.thermal), read_image(job.visible)
        image = load(job.method)(thermal, visible)
        if image.ndim == 3:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype("uint8")
        done, png = cv2.imencode(".png", image)
        if not done:
            raise ValueError("the fused image cannot be encoded as PNG")
    # RuntimeError: an engine that fails, or a device out of memory. The next pair may be smaller.
    except (OSError, ValueError, RuntimeError, cv2.error) as error:
        return Fused(job, problem=str(error).strip() or repr(error))
    return Fused(job, png.tobytes())


def folder_name(text: str) -> str:
    """A name that every file system takes; different names stay different."""
    return (
        "".join(
            c if c.isalnum() or c in "-_.@+" else "_" if c == " " else f"%{ord(c):x}" for c in text
        )
        or "%"
    )


def _results_folder(method: Method, images: ImageSet, *, alone: bool) -> Path | None:
    folder = Path(method.source) / images.name
    if folder.is_dir():
        return folder
    return Path(method.source) if alone and list_images(Path(method.source)) else None
