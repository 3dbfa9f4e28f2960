"""Fuse the image folders of many recordings."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from amg_fuse_ros.bags import pair_files
from amg_fuse_ros.bags.folders import read_rgb
from amg_fuse_ros.image_files import FileJob, file_jobs, fuse_file
from amg_fuse_ros.offline.manifest import Manifest, OnlyOne, Stat, stat_of
from amg_fuse_ros.offline.recipe import PAIRS_EACH, USUAL_PIXELS, Recipe, choose_workers
from amg_fuse_ros.offline.recordings import FolderPair
from amg_fuse_ros.spread import Outcome, Workers, spread


@dataclass
class FolderNight:
    """What became of many recordings."""

    recordings: int = 0
    pairs: int = 0
    fused: int = 0
    complete: int = 0
    """Pairs whose result was there already, made of the same."""
    no_partner: int = 0
    """Files left out because the other camera has none of that name."""
    problems: list[str] = field(default_factory=list)
    """A line for each pair and each recording that could not be fused, with its name and why."""


@dataclass
class _Recording:
    manifest: Manifest
    inputs: dict[Path, Mapping[str, Stat]]
    """By the image to write: what it is made of. Those that are done are taken out."""


def fuse_jobs(
    jobs: Sequence[FileJob], recipe: Recipe, workers: Workers
) -> Generator[Outcome[FileJob, str], None, None]:
    """Fuse pairs of files, with as many workers as pay off where their number is 0.

    Yields:
        What became of each pair as it is done; a result names what fused.

    Raises:
        SpreadError, OSError, ValueError: Nothing can be fused, see `spread` and `Recipe.make`, or
            a result cannot be written: the next ones could not either.
    """
    if not jobs:
        return
    chosen = choose_workers(workers, recipe, len(jobs) // PAIRS_EACH, _pixels(jobs[0]))
    with closing(spread(partial(_file_fuser, recipe), jobs, chosen)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome.cause, OSError):
                raise outcome.cause
            yield outcome


def fuse_folders(
    recordings: Sequence[FolderPair],
    out: Path,
    recipe: Recipe,
    workers: Workers,
    *,
    mask: bool = False,
    side_by_side: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FolderNight:
    """Fuse many recordings into ``out/RECORDING/NAME.png``; what is complete is passed over.

    Each folder gets a ``run.json`` that tells what its images were made of; where weights,
    settings or an input have changed, they are made anew.

    Args:
        recordings: From `find_folders`.
        out: Folder for the results.
        recipe: What fuses.
        workers: Where.
        mask: Also write ``mask/NAME.png``.
        side_by_side: Also write ``side_by_side/NAME.png``.
        progress: Called with the number of pairs done and their total.

    Raises:
        ValueError: Another run writes there.
        SpreadError, OSError, ValueError: Nothing can be fused, see `spread` and `Recipe.make`.
    """
    night = FolderNight(len(recordings))
    card = recipe.card()
    jobs: list[FileJob] = []
    owners: dict[Path, _Recording] = {}
    with OnlyOne(out), ExitStack() as manifests:
        for place in recordings:
            folder = out / place.name
            try:
                files = pair_files(place.thermal, place.rgb)
                wanted = file_jobs(files.pairs, folder, mask=mask, side_by_side=side_by_side)
            except ValueError as error:
                night.problems.append(str(error))
                continue
            if not files.pairs:
                night.problems.append(f"{place.rgb}: no file has the name of one in the other")
            recording = _Recording(manifests.enter_context(Manifest(folder, card)), {})
            for job in wanted:
                inputs = {"thermal": stat_of(job.thermal), "rgb": stat_of(job.rgb)}
                if recording.manifest.is_complete(job.image.stem, inputs, job.outputs):
                    night.complete += 1
                else:
                    recording.inputs[job.image] = inputs
                    owners[job.image] = recording
                    jobs.append(job)
            night.pairs += len(wanted)
            night.no_partner += len(files.thermal_only) + len(files.rgb_only)

        done = night.complete
        with closing(fuse_jobs(jobs, recipe, workers)) as outcomes:
            for outcome in outcomes:
                image = outcome.job.image
                recording = owners.pop(image)
                made_of = recording.inputs.pop(image)
                if outcome.result is None:
                    for path in outcome.job.outputs:  # of an earlier run, not of these inputs
                        path.unlink(missing_ok=True)
                    night.problems.append(outcome.error)
                else:
                    night.fused += 1
                    recording.manifest.note(image.stem, made_of, fused_by=outcome.result)
                if not recording.inputs:
                    recording.manifest.close()
                done += 1
                if progress is not None:
                    progress(done, night.pairs)
    return night


def _file_fuser(recipe: Recipe) -> Callable[[FileJob], str]:
    return partial(fuse_file, recipe.make())


def _pixels(job: FileJob) -> int:
    try:
        height, width = read_rgb(job.rgb).shape[:2]
    except ValueError:
        return USUAL_PIXELS
    return int(height * width)
