"""``python -m training.benchmark``: compare fusion methods on data sets, write a report."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from amg_fuse_ros.spread import SpreadError, Workers
from training.benchmark.contents import compile_report
from training.benchmark.efficiency import measure_all
from training.benchmark.fusing import fuse_all, over
from training.benchmark.identity import FusedStore
from training.benchmark.methods import DEFAULT_FILE, read_plan
from training.benchmark.report import PAGE, write_report
from training.benchmark.results import Results, score_all
from training.evaluate import ImageSet, find_sets
from training.metrics.folder import default_cache, list_images

app = typer.Typer(add_completion=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def main(
    data: Annotated[
        Path, typer.Option(help="Set with ir/ + vi/ [+ clean_*], or a folder of sets.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html, .md, .json and fused/.")],
    methods: Annotated[
        Path, typer.Option(help="YAML: what to compare, see docs/evaluation.md.")
    ] = DEFAULT_FILE,
    only: Annotated[
        list[str] | None, typer.Option("--set", help="Only this set; repeat for more.")
    ] = None,
    strips: Annotated[
        int | None, typer.Option(min=0, help="Scenes to picture per set; all by default.")
    ] = None,
    measure: Annotated[bool, typer.Option(help="Measure time, memory and MACs.")] = True,
    measure_again: Annotated[
        bool, typer.Option("--measure-again", help="Although nothing has changed since.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that score; all cores, here or of --ray.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that fuse; with --ray 0: as many as it has.")
    ] = 1,
    ray: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Fuse and score on Ray: local, auto, HOST:PORT."),
    ] = "",
    cache: Annotated[
        Path | None, typer.Option(help=f"Instead of {default_cache().parent}.")
    ] = None,
) -> None:
    """Fuse every pair by every method, score it, and write tables, plots and pictures.

    Repeat the command to go on after an interruption; what has not changed is not done again.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    kept = cache or default_cache().parent
    try:
        plan = read_plan(methods)
        sets = _choose(find_sets(data), only, data)
        fused = fuse_all(
            plan.methods,
            sets,
            out / "fused",
            FusedStore(kept / "fused"),
            spread=over(Workers(workers, ray)),
        )
        results = score_all(plan, sets, fused, jobs=jobs, cache=kept / "metrics", ray=ray)
        _tell_problems(results)
        if not any(results.scores(method, g) for method in plan.methods for g in results.groups):
            raise ValueError(f"{data}: not one image could be scored, see above")
        efficiency = None
        if measure:
            efficiency = measure_all(
                plan.methods, _a_pair(sets), kept / "efficiency", again=measure_again
            )
        report = compile_report(results, efficiency, data.resolve().name)
        written = write_report(report, out, strips=strips)
    except (OSError, ValueError, SpreadError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    for section in report.sections:
        typer.echo(f"{section.group.title} ({section.table.images} images)")
        for finding in section.findings:
            typer.echo(f"  {finding}")
    typer.echo(f"{out / PAGE}: {'written' if written else 'is up to date'}")


def _choose(sets: list[ImageSet], only: list[str] | None, data: Path) -> list[ImageSet]:
    names = [images.name for images in sets]
    if unknown := [name for name in only or () if name not in names]:
        raise ValueError(f"--set: expected sets of {data} ({', '.join(names)}), found {unknown}")
    return [images for images in sets if not only or images.name in only]


def _a_pair(sets: list[ImageSet]) -> tuple[Path, Path]:
    for images in sets:
        thermal, visible = list_images(images.thermal), list_images(images.visible)
        if names := sorted(thermal.keys() & visible.keys()):
            return thermal[names[0]], visible[names[0]]
    raise ValueError("no image in ir/ has the name of one in vi/: nothing to measure with")


def _tell_problems(results: Results) -> None:
    for method, set_name, row in results.problems():
        text = f"left out: {method}, {set_name}/{row.name}: {row.problem}"
        errors.print(text, style="yellow", markup=False)


if __name__ == "__main__":
    app()
