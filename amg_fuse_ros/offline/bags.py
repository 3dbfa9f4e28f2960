"""Fuse many bags, each by one worker, or one bag by many."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amg_fuse_ros import bags
from amg_fuse_ros.bags import (
    BagError,
    FramePair,
    MessageError,
    Recording,
    ReplaySummary,
    Topics,
    guess_topics,
)
from amg_fuse_ros.bags.recording import COMPRESSED_IMAGE, IMAGE_TYPES
from amg_fuse_ros.bags.replaying import Fused
from amg_fuse_ros.compressed_encoding import compressed_header
from amg_fuse_ros.image_encoding import Array, ImageEncodingError
from amg_fuse_ros.image_files import PARTIAL
from amg_fuse_ros.offline.manifest import (
    OnlyOne,
    read_manifest,
    remove_partials,
    same_recipe,
    stat_of,
    write_manifest,
)
from amg_fuse_ros.offline.recipe import PAIRS_EACH, USUAL_PIXELS, Recipe, choose_workers
from amg_fuse_ros.offline.recordings import BagPlace
from amg_fuse_ros.spread import Team, WorkerLostError, Workers, spread, team_of

if TYPE_CHECKING:
    from amg_fuse_ros.fusion import FusedFrame, Fuser


@dataclass(frozen=True)
class ReplayOptions:
    """How bags are paired and what is copied, see :func:`amg_fuse_ros.bags.replay`."""

    thermal_topic: str = ""
    rgb_topic: str = ""
    slop_s: float = 0.025
    copy_sources: bool = False


@dataclass(frozen=True)
class BagJob:
    """A bag to fuse."""

    bag: Path
    out: Path
    options: ReplayOptions
    card: Mapping[str, Any]
    """What the result depends on: of the recipe, the options and the bag's files."""


@dataclass(frozen=True)
class BagDone:
    """What became of a bag."""

    fused: int
    skipped: int
    problems: Sequence[str]


@dataclass
class BagNight:
    """What became of many bags."""

    bags: int = 0
    fused: int = 0
    """Bags fused now."""
    pairs: int = 0
    """Pairs fused now."""
    complete: int = 0
    """Bags whose result was there already, made of the same."""
    notes: list[str] = field(default_factory=list)
    """A line for what was skipped in a bag that was fused."""
    problems: list[str] = field(default_factory=list)
    """A line for each bag that could not be fused, with its name and why."""


def replay_bags(
    places: Sequence[BagPlace],
    out: Path,
    recipe: Recipe,
    options: ReplayOptions,
    workers: Workers,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> BagNight:
    """Fuse many bags into ``out/BAG``, each by one worker; what is complete is passed over.

    A bag appears whole, with a ``run.json`` in its folder that tells what it was made of; where
    weights, settings or its source have changed it is made anew. The largest come first, so that
    none is left to a single worker at the end.

    Args:
        places: From `find_bags`.
        out: Folder for the bags.
        recipe: What fuses.
        options: How.
        workers: Where.
        progress: Called with the number of bags done and their total.

    Raises:
        ValueError: Another run writes there.
        SpreadError, OSError, ValueError: Nothing can be fused, see `spread` and `Recipe.make`.
    """
    night = BagNight(len(places))
    card = {**recipe.card(), "replay": asdict(options)}
    jobs = []
    with OnlyOne(out):
        for place in places:
            target = out / place.name
            remove_partials(target.parent, target.name)
            made_of = {**card, "bag": _stats(place.path)}
            known = read_manifest(target)
            if known is not None and same_recipe(known, made_of):
                night.complete += 1
            elif known is None and os.path.lexists(target):
                night.problems.append(
                    f"{place.path}: {target} exists already and was not made by such a run; "
                    "remove it or name another folder"
                )
            else:
                jobs.append(BagJob(place.path, target, options, made_of))
        jobs.sort(key=lambda job: -sum(size for size, _ in job.card["bag"].values()))
        done = len(places) - len(jobs)
        pixels = _pixels(jobs[0].bag, options) if jobs else 0
        chosen = choose_workers(workers, recipe, len(jobs), pixels)
        with closing(spread(partial(_bag_fuser, recipe), jobs, chosen)) as outcomes:
            for outcome in outcomes:
                job = outcome.job
                if outcome.result is None:
                    named = str(job.bag) in outcome.error
                    night.problems.append(outcome.error if named else f"{job.bag}: {outcome.error}")
                else:
                    night.fused += 1
                    night.pairs += outcome.result.fused
                    night.notes += [f"{job.bag}: {text}" for text in outcome.result.problems]
                done += 1
                if progress is not None:
                    progress(done, len(places))
    return night


def replay_one(
    bag: Path,
    out: Path,
    recipe: Recipe,
    options: ReplayOptions,
    workers: Workers,
    *,
    topics: Topics,
    progress: Callable[[int, int], None] | None = None,
    on_fused: Callable[[FramePair, Fused], None] | None = None,
) -> ReplaySummary:
    """Fuse one bag, its pairs by several workers where that pays off.

    Args:
        bag: A rosbag2 folder or file.
        out: The bag folder to create.
        recipe: What fuses.
        options: How; its topics are ``topics``.
        workers: Where; a Ray cluster gets the images over the network.
        topics: The pair's topics.
        progress: Called with the pairs done and the number there can be at most.
        on_fused: Called with each pair and what it was fused to, in order.

    Raises:
        BagError: See :func:`amg_fuse_ros.bags.replay`.
        SpreadError, OSError, ValueError: Nothing can be fused, see `spread` and `Recipe.make`.
    """
    with Recording(bag) as recording:
        images = recording.image_topics()
        pairs = min(images.get(topics.thermal, 0), images.get(topics.rgb, 0))
    chosen = choose_workers(workers, recipe, pairs // PAIRS_EACH, _pixels(bag, options))
    again: dict[str, Any] = {
        "topics": topics,
        "slop_s": options.slop_s,
        "copy_sources": options.copy_sources,
        "progress": progress,
        "on_fused": on_fused,
    }
    if chosen.count == 1 and not chosen.ray:
        return bags.replay(bag, out, recipe.make().fuse, **again)
    with team_of(partial(_pair_fuser, recipe), chosen, at_most=max(1, pairs)) as team:
        try:
            return bags.replay_ahead(
                bag,
                out,
                lambda thermal, rgb: _Answer(team, team.submit((thermal, rgb))),
                ahead=2 * team.size,
                **again,
            )
        except _TeamBrokenError as error:
            raise team.broken or error from error


def fuse_bag(fuser: "Fuser", job: BagJob) -> BagDone:
    """Fuse one bag; the result appears whole, and replaces an earlier one then.

    Raises:
        BagError: See :func:`amg_fuse_ros.bags.replay`.
        OSError: If the result cannot be written.
    """
    job.out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{job.out.name}{PARTIAL}", dir=job.out.parent))
    try:
        fresh = staging / job.out.name
        with Recording(job.bag) as recording:
            topics = _topics(recording, job.options)
        summary = bags.replay(
            job.bag,
            fresh,
            fuser.fuse,
            topics=topics,
            slop_s=job.options.slop_s,
            copy_sources=job.options.copy_sources,
        )
        counts = summary.counts
        problems = [*counts.problems, *([counts.broken] if counts.broken else [])]
        content = {
            **job.card,
            "fused_by": f"{fuser.engine.name} {fuser.engine.precision} on {fuser.engine.device}",
            "topics": {"thermal": topics.thermal, "rgb": topics.rgb},
            "fused": summary.fused,
            "skipped": counts.skipped,
            "problems": problems,
        }
        write_manifest(fresh, content)
        if os.path.lexists(job.out):
            job.out.rename(staging / "replaced")
        fresh.rename(job.out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return BagDone(summary.fused, counts.skipped, problems)


class _TeamBrokenError(Exception):
    pass


class _Answer:
    """A pair's fusion in another process."""

    def __init__(self, team: "Team[_Pair, FusedFrame]", future: "Future[FusedFrame]") -> None:
        self._team = team
        self._future = future

    def result(self) -> "FusedFrame":
        try:
            return self._future.result()
        except WorkerLostError as error:
            raise ValueError(f"{error} (tried twice)") from error
        except Exception as error:
            # Why no worker can be had may be a ValueError, too: it would pass for a bad pair.
            if self._team.broken is not None:
                raise _TeamBrokenError from error
            raise


_Pair = tuple[Array, Array]


def _bag_fuser(recipe: Recipe) -> Callable[[BagJob], BagDone]:
    return partial(fuse_bag, recipe.make())


def _pair_fuser(recipe: Recipe) -> "Callable[[_Pair], FusedFrame]":
    fuser = recipe.make()
    return lambda pair: fuser.fuse(*pair)


def _topics(recording: Recording, options: ReplayOptions) -> Topics:
    thermal, rgb = options.thermal_topic or None, options.rgb_topic or None
    return guess_topics(recording, thermal=thermal, rgb=rgb)


def _stats(bag: Path) -> dict[str, list[int]]:
    """Size and time of the last change of a bag's files, by name."""
    files = [bag] if bag.is_file() else sorted(path for path in bag.iterdir() if path.is_file())
    return {file.name: list(stat_of(file)) for file in files}


def _pixels(bag: Path, options: ReplayOptions) -> int:
    """Pixels of the bag's first RGB image; the usual number where it cannot be read."""
    unreadable = (BagError, MessageError, ImageEncodingError)
    with suppress(*unreadable), Recording(bag) as recording:
        topic = _topics(recording, options).rgb
        for raw in recording.messages([topic], IMAGE_TYPES):
            image = recording.decode(raw)
            if raw.msgtype == COMPRESSED_IMAGE:
                image = compressed_header(image)
            return int(image.height * image.width)
    return USUAL_PIXELS
