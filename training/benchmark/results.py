"""Scores of all methods on all sets, and the groups of sets that the paper's tables show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.benchmark.fusing import FusedSet
from training.benchmark.methods import Method, Plan
from training.evaluate import ImageSet
from training.metrics import METRICS
from training.metrics.folder import ImageScore, score_folders

WEATHER, REAL, CLEAN_SETS = "weather", "real weather", "clean"

_TITLES = {
    WEATHER: ("1", "Weather, against the clean pair"),
    REAL: ("2", "Real weather, against the inputs"),
    CLEAN_SETS: ("4 and 5", "Clean data sets, against the inputs"),
}


@dataclass(frozen=True)
class Group:
    """Sets that one of the paper's tables puts together.

    Attributes:
        kind: `WEATHER`, `REAL` or `CLEAN_SETS`.
        sets: In the order of their names.
    """

    kind: str
    sets: tuple[ImageSet, ...]

    @property
    def paper_table(self) -> str:
        """Number of the paper's table of this kind."""
        return _TITLES[self.kind][0]

    @property
    def title(self) -> str:
        """Heading for people."""
        return _TITLES[self.kind][1]


@dataclass(frozen=True)
class Results:
    """All scores.

    Attributes:
        plan: What was asked for.
        groups: The sets, in the order of the paper's tables; no set is in two of them.
        rows: By names of method and set; a set that a method did not do is absent.
        folders: Where the fused images lie, likewise.
    """

    plan: Plan
    groups: tuple[Group, ...]
    rows: Mapping[tuple[str, str], Sequence[ImageScore]]
    folders: Mapping[tuple[str, str], Path]

    def scores(self, method: Method, group: Group) -> dict[tuple[str, str], NDArray[np.float64]]:
        """The seven scores of a method for each (set, image) of a group that has them."""
        return {
            (images.name, row.name): np.array([row.scores[key] for key in METRICS])
            for images in group.sets
            for row in self.rows.get((method.name, images.name), ())
            if not row.problem
        }

    def problems(self) -> Iterator[tuple[str, str, ImageScore]]:
        """What could not be fused or scored: names of method and set, and the row."""
        for (method, set_name), rows in self.rows.items():
            for row in rows:
                if row.problem:
                    yield method, set_name, row


def group_sets(sets: Sequence[ImageSet], real_weather: Sequence[str]) -> tuple[Group, ...]:
    """Sort sets into weather (there is a clean pair), real weather (by name) and clean ones."""
    kinds: dict[str, list[ImageSet]] = {kind: [] for kind in _TITLES}
    for images in sets:
        if images.clean_thermal is not None:
            kind = WEATHER
        elif any(fnmatch(images.name, pattern) for pattern in real_weather):
            kind = REAL
        else:
            kind = CLEAN_SETS
        kinds[kind].append(images)
    return tuple(Group(kind, tuple(members)) for kind, members in kinds.items() if members)


def score_all(
    plan: Plan,
    sets: Sequence[ImageSet],
    fused: Mapping[tuple[str, str], FusedSet],
    *,
    jobs: int | None = None,
    cache: Path | None = None,
    ray: str = "",
) -> Results:
    """Score what was fused, against the clean pair where there is one, else the inputs.

    Args:
        plan: The methods.
        sets: The sets.
        fused: From :func:`training.benchmark.fusing.fuse_all`.
        jobs: Worker processes; all cores by default.
        cache: Folder that keeps scores by content.
        ray: Ray cluster that scores instead, see :func:`training.metrics.folder.score_folder`.

    Raises:
        SpreadError: The cluster is not there, or no worker can be kept alive.
    """
    by_name = {images.name: images for images in sets}
    references = {place: by_name[place[1]].references("clean")[0] for place in fused}
    folders = {place: fused_set.folder for place, fused_set in fused.items()}
    # Whole paths: a cluster's workers do not stand in this process's folder.
    triples = [
        (thermal.resolve(), visible.resolve(), folders[place].resolve())
        for place, (_, thermal, visible) in references.items()
    ]
    tables = score_folders(triples, jobs=jobs, cache=cache, ray=ray)
    rows = {
        place: [_explained(row, fused[place]) for row in table]
        for place, table in zip(fused, tables, strict=True)
    }
    return Results(plan, group_sets(sets, plan.real_weather), rows, folders)


def _explained(row: ImageScore, fused: FusedSet) -> ImageScore:
    """Say why an image could not be fused rather than that its result is missing."""
    problem = fused.problems.get(row.name)
    return ImageScore(row.name, problem=problem) if problem else row
