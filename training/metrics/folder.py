"""Score whole folders of fused images: on all cores, each distinct triple once."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache as remember
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from amg_fuse_ros.spread import Workers, cores, spread
from training.metrics import METRICS, score

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class ImageScore:
    """The scores of one fused image, or why there are none.

    Attributes:
        name: File name without extension, common to the three images.
        scores: The metrics by key; empty where there is a problem.
        problem: What kept the image from being scored, naming the file; empty otherwise.
    """

    name: str
    scores: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""


def score_folder(
    thermal_dir: Path,
    visible_dir: Path,
    results_dir: Path,
    *,
    jobs: int | None = None,
    cache: Path | None = None,
    ray: str = "",
) -> list[ImageScore]:
    """Score every pair that has a result of the same name (extensions may differ).

    A progress bar goes to the terminal's error stream. Scores are kept by content as they come
    in, so an interrupted or repeated run computes only what is new; a change of the metrics'
    own code makes all of it new.

    Args:
        thermal_dir: First sources (or clean references).
        visible_dir: Second sources, likewise.
        results_dir: Fused images; those without a pair are passed over.
        jobs: Worker processes; all cores by default.
        cache: Folder that keeps the scores; ``None`` keeps nothing.
        ray: Ray cluster that does it instead, see :class:`amg_fuse_ros.spread.Workers`; ``jobs``
            are its workers then.

    Returns:
        One row for each name in the two source folders, sorted. Unreadable, missing or
        unequally sized images have a ``problem`` instead of scores.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: A folder holds two images of one name.
        SpreadError: The cluster is not there, or no worker can be kept alive.
    """
    folders = [(thermal_dir, visible_dir, results_dir)]
    return score_folders(folders, jobs=jobs, cache=cache, ray=ray)[0]


def score_folders(
    folders: Sequence[tuple[Path, Path, Path]],
    *,
    jobs: int | None = None,
    cache: Path | None = None,
    ray: str = "",
) -> list[list[ImageScore]]:
    """Score several (thermal, visible, results) folders at once, one list of rows for each.

    One set of worker processes serves them all; everything else is as for `score_folder`.
    """
    tables: list[dict[str, ImageScore]] = []
    triples: dict[_Place, list[Path]] = {}
    for number, directories in enumerate(folders):
        files = [list_images(directory) for directory in directories]
        tables.append({})
        for name in files[0].keys() | files[1].keys():
            missing = [d for d, found in zip(directories, files, strict=True) if name not in found]
            if missing:
                problem = f"no image {name!r} in {missing[0]}"
                tables[number][name] = ImageScore(name, problem=problem)
            else:
                triples[number, name] = [found[name] for found in files]

    workers = Workers(jobs or 0 if ray else jobs or cores(), ray, code=TRAVELLING)
    for (number, name), outcome in _outcomes(triples, workers, cache):
        if isinstance(outcome, str):
            tables[number][name] = ImageScore(name, problem=outcome)
        else:
            tables[number][name] = ImageScore(name, outcome)
    return [[rows[name] for name in sorted(rows)] for rows in tables]


def mean_scores(rows: Iterable[ImageScore]) -> dict[str, float]:
    """Average each metric over the rows that have scores; empty where none has."""
    scored = [row.scores for row in rows if not row.problem]
    if not scored:
        return {}
    return {key: sum(scores[key] for scores in scored) / len(scored) for key in METRICS}


def list_images(folder: Path) -> dict[str, Path]:
    """Find the images of a folder by their names without extension.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: Two images differ in the extension only.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder of images, found none")
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if path.stem in images:
            raise ValueError(
                f"{folder}: expected one image per name, found {images[path.stem].name} and "
                f"{path.name}; remove one"
            )
        images[path.stem] = path
    return images


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an 8-bit image file: grey as H W, colour as H W 3 RGB (transparency dropped).

    Raises:
        ValueError: The file cannot be read or decoded, or does not hold 8-bit values.
    """
    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    # Without these flags OpenCV would make 8 bits of 16 unasked and colour of grey.
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    try:
        image = cv2.imdecode(encoded, flags) if encoded.size else None
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{path}: cannot be decoded as an image")
    if image.dtype != np.uint8:
        raise ValueError(f"{path}: expected 8-bit values, found {image.dtype}; convert it first")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def default_cache() -> Path:
    """Where scores are kept: ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "amg_fuse_ros" / "metrics"


TRAVELLING = (Path(__file__).resolve().parents[1],)
"""Code that goes to a Ray cluster's workers beside the installed package: `training`."""

_Place = tuple[int, str]
"""Which of the folders, and the image's name in it."""

_Outcome = dict[str, float] | str
"""The scores, or what was wrong with the files."""


def _outcomes(
    triples: Mapping[_Place, Sequence[Path]], workers: Workers, cache: Path | None
) -> Iterator[tuple[_Place, _Outcome]]:
    """Yield each triple's outcome, from the cache where it is known, in no certain order."""
    kept: dict[_Place, Path] = {}
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(cores()) as pool:
            keys = pool.map(_content_key, triples.values())
            for place, key in zip(triples, keys, strict=True):
                if key:
                    kept[place] = cache / key[:2] / f"{key}.json"
    fresh = {}
    for place, paths in triples.items():
        scores = _recall(kept[place]) if place in kept else None
        if scores is None:
            fresh[place] = paths
        else:
            yield place, scores
    computed = _compute(fresh, workers)
    bar = Console(stderr=True)
    for place, outcome in track(
        computed, "scoring", total=len(fresh), console=bar, disable=not fresh
    ):
        if place in kept and not isinstance(outcome, str):
            _keep(kept[place], outcome)
        yield place, outcome


def _compute(
    triples: Mapping[_Place, Sequence[Path]], workers: Workers
) -> Iterator[tuple[_Place, _Outcome]]:
    if not workers.ray:  # a single image is not worth a process
        workers = Workers(min(workers.count, len(triples)))
    with closing(spread(_prepare_scoring, list(triples.items()), workers)) as outcomes:
        for outcome in outcomes:
            place, paths = outcome.job
            lost = f"{paths[-1]}: {outcome.error}"
            yield place, lost if outcome.result is None else outcome.result


def _prepare_scoring() -> Callable[[tuple[_Place, Sequence[Path]]], _Outcome]:
    return _score_files


def _score_files(job: tuple[_Place, Sequence[Path]]) -> _Outcome:
    _, paths = job
    try:
        return score(*(read_image(path) for path in paths))
    except ValueError as error:
        return str(error)


def _content_key(paths: Sequence[Path]) -> str:
    """Digest of the metrics' code and the three files; empty where one cannot be read."""
    digest = hashlib.sha256(_code_digest())
    try:
        for path in paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return ""
    return digest.hexdigest()


@remember
def _code_digest() -> bytes:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def _recall(path: Path) -> dict[str, float] | None:
    try:
        scores = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return scores if isinstance(scores, dict) and set(scores) == set(METRICS) else None


def _keep(path: Path, scores: Mapping[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed: a reader beside us never sees half a file.
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(scores))
    partial.replace(path)
