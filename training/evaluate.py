"""Score fused images against their sources: `python -m training.evaluate --help`.

A data folder holds thermal images in ir/ and visible ones in vi/, under equal names, and where
the pair was degraded the clean one in clean_ir/ and clean_vi/. A folder of such folders is a
group of sets; the results of another method are then expected in subfolders of the same names.
"""

import argparse
import csv
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from amg_fuse_ros.offline.recipe import PAIRS_EACH, Recipe, choose_workers
from amg_fuse_ros.offline.recordings import RGB_NAMES, THERMAL_NAMES
from amg_fuse_ros.spread import SpreadError, Workers
from training.baselines import BASELINES, fuse_baseline
from training.fuse_sets import Fuse, fuse_sets
from training.metrics import METRICS
from training.metrics.folder import (
    TRAVELLING,
    ImageScore,
    default_cache,
    list_images,
    mean_scores,
    score_folders,
)
from training.scales import ScaleScores, closeness, parse_scales, scale_table, write_scales

REFERENCES = ("clean", "inputs", "both")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageSet:
    """Where the images of one data set lie. The clean folders are both there or both absent."""

    name: str
    thermal: Path
    visible: Path
    clean_thermal: Path | None = None
    clean_visible: Path | None = None

    def references(self, wanted: str) -> list[tuple[str, Path, Path]]:
        """List what to score against: (kind, thermal folder, visible folder).

        ``clean`` falls back to the inputs where there is no clean pair, as the paper's tables do.
        """
        references = []
        if self.clean_thermal and self.clean_visible and wanted in ("clean", "both"):
            references.append(("clean", self.clean_thermal, self.clean_visible))
        if wanted in ("inputs", "both") or not references:
            references.append(("inputs", self.thermal, self.visible))
        return references


@dataclass(frozen=True)
class Evaluation:
    """One set scored against one kind of reference."""

    set_name: str
    reference: str
    rows: Sequence[ImageScore]


def find_sets(root: Path) -> list[ImageSet]:
    """Find the image sets in ``root``: itself, or else those of its subfolders that are one.

    Raises:
        FileNotFoundError: There is none.
    """
    folders = [root, *sorted(path for path in root.glob("*/") if path.is_dir())]
    sets = [found for folder in folders if (found := _image_set(folder))]
    if not sets:
        raise FileNotFoundError(
            f"{root}: expected folders ir/ and vi/ (or thermal/ and visible/), here or one level "
            "below, found none"
        )
    return sets[:1] if sets[0].thermal.parent == root else sets


def _image_set(folder: Path) -> ImageSet | None:
    def first(names: Sequence[str], prefix: str = "") -> Path | None:
        return next((p for name in names if (p := folder / f"{prefix}{name}").is_dir()), None)

    thermal, visible = first(THERMAL_NAMES), first(RGB_NAMES)
    if thermal is None or visible is None:
        return None
    clean = first(THERMAL_NAMES, "clean_"), first(RGB_NAMES, "clean_")
    if (clean[0] is None) != (clean[1] is None):
        raise FileNotFoundError(f"{folder}: expected clean_ir/ and clean_vi/ both, found one")
    return ImageSet(folder.resolve().name, thermal, visible, *clean)


def evaluate(
    sets: Sequence[ImageSet],
    results: Path,
    *,
    reference: str = "clean",
    jobs: int | None = None,
    cache: Path | None = None,
    ray: str = "",
) -> list[Evaluation]:
    """Score the results for each set against the references asked for.

    Args:
        sets: From `find_sets`.
        results: Fused images of the one set, or a folder of them for each set, by its name.
        reference: One of `REFERENCES`.
        jobs: Worker processes; all cores by default.
        cache: Folder that keeps scores by content.
        ray: Ray cluster that scores instead of processes here.

    Raises:
        FileNotFoundError: There are no results for any set.
    """
    wanted = []
    for images in sets:
        folder = results / images.name
        if not folder.is_dir():
            if len(sets) > 1:
                logger.warning("skipped the set %s: no folder %s", images.name, folder)
                continue
            folder = results
        for kind, thermal, visible in images.references(reference):
            wanted.append((images.name, kind, (thermal, visible, folder)))
    if not wanted:
        raise FileNotFoundError(
            f"{results}: expected results in subfolders named like the sets "
            f"({', '.join(images.name for images in sets)}), found none"
        )
    folders = [paths for _, _, paths in wanted]
    tables = score_folders(folders, jobs=jobs, cache=cache, ray=ray)
    return [
        Evaluation(name, kind, rows) for (name, kind, _), rows in zip(wanted, tables, strict=True)
    ]


def means(evaluations: Sequence[Evaluation]) -> list[dict[str, object]]:
    """Average over each set, and over all images of a reference where it has several sets.

    Returns:
        Dictionaries with ``set`` ("all" for the last kind), ``reference``, ``images`` (their
        number) and the metrics by key.
    """
    groups = [(e.set_name, e.reference, e.rows) for e in evaluations]
    for kind in REFERENCES:
        members = [e.rows for e in evaluations if e.reference == kind]
        if len(members) > 1:
            groups.append(("all", kind, [row for rows in members for row in rows]))
    return [
        {
            "set": name,
            "reference": kind,
            "images": sum(not row.problem for row in rows),
            **mean_scores(rows),
        }
        for name, kind, rows in groups
    ]


def write_scores(out: Path, method: str, evaluations: Sequence[Evaluation]) -> None:
    """Write scores.csv (a line for each image) and summary.json (means, and what was skipped)."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "scores.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["set", "name", "reference", *METRICS])
        for evaluation in evaluations:
            for row in evaluation.rows:
                if not row.problem:
                    scores = [row.scores[key] for key in METRICS]
                    table.writerow([evaluation.set_name, row.name, evaluation.reference, *scores])
    skipped = [
        {"set": set_name, "name": row.name, "problem": row.problem}
        for set_name, row in _skipped(evaluations)
    ]
    summary = {"method": method, "means": means(evaluations), "skipped": skipped}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")


def _skipped(evaluations: Sequence[Evaluation]) -> list[tuple[str, ImageScore]]:
    """Each image that was not scored, once for each reason."""
    skipped = [(e.set_name, row) for e in evaluations for row in e.rows if row.problem]
    return list({(name, row.name, row.problem): (name, row) for name, row in skipped}.values())


def _table(method: str, evaluations: Sequence[Evaluation]) -> Table:
    table = Table(title=method, box=box.SIMPLE)
    for heading in ("set", "reference", "images"):
        table.add_column(heading)
    for metric in METRICS.values():
        table.add_column(metric.label, justify="right")
    for line in means(evaluations):
        scores = [f"{line[key]:.3f}" if key in line else "-" for key in METRICS]
        table.add_row(str(line["set"]), str(line["reference"]), str(line["images"]), *scores)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="ir/ vi/ [clean_*]")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--results", type=Path, metavar="DIR", help="images that a method made")
    what.add_argument(
        "--weights",
        nargs="?",
        const="",
        metavar="W",
        help="fuse with this project's network first: a weights file, or the shipped one",
    )
    what.add_argument("--method", choices=BASELINES, help="fuse with a built-in baseline first")
    parser.add_argument("--engine", default="auto", metavar="E", help="with --weights: %(default)s")
    parser.add_argument(
        "--scale",
        default="1",
        metavar="S",
        help="with --weights: fuse at this fraction of the size; several, as 1,0.5: compare them",
    )
    parser.add_argument(
        "--reference",
        choices=REFERENCES,
        default="clean",
        help="clean: the clean pair where there is one, else the inputs (default)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="scores.csv, summary.json, fused/")
    parser.add_argument("--jobs", type=int, metavar="N", help="worker processes (all cores)")
    parser.add_argument("--ray", default="", metavar="ADDRESS", help="a Ray cluster, auto or local")
    parser.add_argument("--cache", type=Path, metavar="DIR", help=f"instead of {default_cache()}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 1 where nothing could be scored."""
    options = _parser().parse_args(arguments)
    if options.ray:
        _make_absolute(options)
    errors = Console(stderr=True)
    try:
        scales = parse_scales(options.scale)
        if scales != (1.0,) and options.weights is None:
            raise ValueError("--scale: works with --weights, which fuses at a scale")
        if len(scales) > 1 and options.reference == "both":
            raise ValueError("--scale: several are compared by --reference clean or inputs")
        with tempfile.TemporaryDirectory() as scratch, _cluster(options.ray):
            if len(scales) > 1:
                return _compare(options, scales, options.out or Path(scratch))
            folder = (options.out or Path(scratch)) / "fused"
            method, evaluations = _run(options, folder, scales[0])
    except (OSError, ValueError, SpreadError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False, soft_wrap=True)
        return 1
    if options.out:
        write_scores(options.out, method, evaluations)
    # A pipe has no width; 80 columns would cut the numbers off.
    Console(width=None if sys.stdout.isatty() else 120).print(_table(method, evaluations))
    for set_name, row in _skipped(evaluations):
        text = f"skipped {set_name}/{row.name}: {row.problem}"
        errors.print(text, style="yellow", markup=False, soft_wrap=True)
    return 0 if any(not row.problem for e in evaluations for row in e.rows) else 1


def _make_absolute(options: argparse.Namespace) -> None:
    """A cluster's workers stand in other folders."""
    for name in ("data", "results", "out", "cache"):
        path = getattr(options, name)
        setattr(options, name, path.resolve() if path else path)
    if options.weights:
        options.weights = str(Path(options.weights).resolve())


def _cluster(address: str) -> AbstractContextManager[object]:
    """One connection for fusing and scoring; they find it there."""
    if not address:
        return nullcontext()
    from amg_fuse_ros.spread.ray_cluster import connected

    return connected(address, TRAVELLING)


def _compare(options: argparse.Namespace, scales: Sequence[float], out: Path) -> int:
    """Fuse and score at each scale, and show one line for each; 1 where nothing was scored."""
    lines, method = [], ""
    full = out / "scale-1" / "fused"
    for scale in dict.fromkeys((1.0, *scales)):
        folder = out / f"scale-{scale:g}" / "fused"
        method, evaluations = _run(options, folder, scale)
        write_scores(folder.parent, f"{method} at scale {scale:g}", evaluations)
        rows = [row for evaluation in evaluations for row in evaluation.rows]
        psnr, similarity = closeness(folder, full) if folder != full else (None, None)
        scored = sum(not row.problem for row in rows)
        lines.append(ScaleScores(scale, scored, psnr, similarity, mean_scores(rows)))
    write_scales(out, method, lines)
    Console(width=None if sys.stdout.isatty() else 120).print(scale_table(method, lines))
    return 0 if all(line.images for line in lines) else 1


def _run(options: argparse.Namespace, folder: Path, scale: float) -> tuple[str, list[Evaluation]]:
    """Fuse into ``folder``, unless there are results already, and score."""
    sets = find_sets(options.data)
    results, method = options.results, str(options.results)
    problems: Mapping[str, Mapping[str, str]] = {}
    if results is None:
        results = folder
        if options.method:
            method, card = options.method, None
            prepare: Callable[[], Fuse] = partial(_baseline, options.method)
            workers = Workers(options.jobs or 0 if options.ray else 1, options.ray)
        else:
            recipe = Recipe(options.weights, engine=options.engine, scale=scale)
            method = f"{options.weights or 'shipped weights'} ({options.engine})"
            prepare, card = partial(_network, recipe), recipe.card()
            pairs = sum(len(list_images(images.thermal)) for images in sets)
            asked = Workers(options.jobs or 0, options.ray)
            workers = choose_workers(asked, recipe, pairs // PAIRS_EACH)
        workers = replace(workers, code=TRAVELLING)
        problems = fuse_sets(prepare, sets, results, workers=workers, card=card)
    cache = options.cache or default_cache()
    evaluations = evaluate(
        sets, results, reference=options.reference, jobs=options.jobs, cache=cache, ray=options.ray
    )
    return method, [_with_problems(e, problems.get(e.set_name, {})) for e in evaluations]


def _baseline(method: str) -> Fuse:
    return partial(fuse_baseline, method)


def _network(recipe: Recipe) -> Fuse:
    # Imported here: baselines and folders of results need no torch.
    from amg_fuse_ros.engine import EngineUnavailableError

    try:
        fuser = recipe.make()
    except EngineUnavailableError as error:
        raise ValueError(f"engine {recipe.engine}: {error}") from error
    return lambda thermal, visible: fuser.fuse(thermal, visible).image


def _with_problems(evaluation: Evaluation, problems: Mapping[str, str]) -> Evaluation:
    """Say why an image could not be fused, rather than that its result is missing."""
    rows = [
        ImageScore(row.name, problem=problems[row.name]) if row.name in problems else row
        for row in evaluation.rows
    ]
    return replace(evaluation, rows=rows)


if __name__ == "__main__":
    sys.exit(main())
