"""``python -m training.ablations``: the paper's table 6, each strategy left out in turn.

The paper switches off three of its strategies one by one: TDAS (equations 8 and 9), MGLS
(equations 6 and 7) and MCCA, the mask-guided cross-attention of each exchange between the
streams. The first two are loss terms and get the weight 0. For MCCA see
:mod:`training.variants`; the reading used here is ``sum``.

All variants see the same samples in the same order and start from the same weights. They are
scored on the held-out pairs: the averaged weights' fusion of the degraded pair against the clean
one, by the seven metrics.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from amg_fuse_ros.allocator import keep_big_blocks
from training.config import TrainingConfig
from training.data.pairs import find_pairs, split_by_scene
from training.metrics import METRICS
from training.schedule import TrainingDivergedError, write_text_whole
from training.trainer import Inputs, Session, train
from training.validation import Validator

logger = logging.getLogger(__name__)

TDAS_WEIGHT = 5.0
"""Where the settings leave TDAS out: the published code's weight."""
RESULTS = "ablations.json"

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Result:
    """What became of one variant."""

    variant: str
    steps: int
    minutes: float
    scores: Mapping[str, float]


def variants(config: TrainingConfig) -> dict[str, TrainingConfig]:
    """The rows of the table, by name: everything, and without each strategy.

    Raises:
        ValueError: If the settings have no MGLS to leave out, or no MCCA.
    """
    losses = config.losses
    if losses.mgls == 0 and losses.mgls_final == 0:
        raise ValueError("losses.mgls is 0: expected settings that use what is to be left out")
    if config.cross_attention != "mcca":
        raise ValueError(f"cross_attention: expected mcca, found {config.cross_attention}")
    if losses.tdas == 0:
        logger.info("losses.tdas is 0 in these settings: taking %g", TDAS_WEIGHT)
        losses = replace(losses, tdas=TDAS_WEIGHT)
    config = replace(config, losses=losses)
    return {
        "all strategies": config,
        "without TDAS": replace(config, losses=replace(losses, tdas=0.0)),
        "without MGLS": replace(config, losses=replace(losses, mgls=0.0, mgls_final=0.0)),
        "without MCCA": replace(config, cross_attention="sum"),
    }


def run_ablations(
    config: TrainingConfig, inputs: Inputs, out: Path, session: Session
) -> list[Result]:
    """Train every variant, or go on with it, and score it.

    Args:
        config: Settings of the variant with everything.
        inputs: With a restorer and with held-out pairs.
        out: A folder for each run is made in it; the results go to ``ablations.json``.
        session: How to carry out each one; ``minutes`` is the time of each.

    Raises:
        ValueError: If restorer or held-out pairs are missing, or as :func:`variants` says.
        RunError: If a run there was started with other settings.
        TrainingDivergedError: If one of them diverges.
    """
    if inputs.restorer is None:
        raise ValueError(
            "TDAS needs a restorer (--restorer FILE); train one with "
            "`python -m training.restorer fit`"
        )
    if not inputs.validation:
        raise ValueError("expected data with a scene to hold out for the scores, found none")
    validator = Validator(inputs.validation, limit=None, keys=tuple(METRICS))
    results = []
    for name, variant in variants(config).items():
        restorer = inputs.restorer if variant.losses.tdas > 0 else None
        logger.info("%s", name)
        state = train(
            replace(variant, validate_every=0),
            replace(inputs, restorer=restorer),
            out / name.replace(" ", "_"),
            session,
        )
        network = state.network.eval()
        scores = validator.score(validator.fuse(network, state.average))
        results.append(Result(name, state.step, state.seconds / 60, scores))
    write_text_whole(json.dumps([vars(r) for r in results], indent=1) + "\n", out / RESULTS)
    return results


def table(results: list[Result], pairs: int) -> Table:
    """The results as a table for people, the best of each column in bold."""
    shown = Table(title=f"Ablations, mean over {pairs} held-out pairs", box=box.SIMPLE)
    for heading in ("variant", "steps", "minutes", *(m.label for m in METRICS.values()), "score"):
        shown.add_column(heading, justify="left" if heading == "variant" else "right")
    keys = [*METRICS, "score"]
    best = {key: max(result.scores[key] for result in results) for key in keys}
    for result in results:
        cells = [
            f"[bold]{value:.4f}[/]" if value == best[key] else f"{value:.4f}"
            for key, value in ((key, result.scores[key]) for key in keys)
        ]
        shown.add_row(result.variant, str(result.steps), f"{result.minutes:.1f}", *cells)
    return shown


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Data set, folder with ir/ + vi/, or several.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs; existing ones go on.")],
    restorer: Annotated[Path | None, typer.Option(help="Restorer's file, for TDAS.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes for each variant.")] = None,
    config: Annotated[str, typer.Option(help="Preset name or YAML file.")] = "default",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE instead of the preset's.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    workers: Annotated[int, typer.Option(help="Processes that prepare batches.")] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
) -> None:
    """Train with all strategies and without each, and print the table of scores.

    Compare variants of equally many steps: --set steps=N sets the length of the schedule, and
    with --minutes the command is repeated until all have come to its end.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_big_blocks()
    if threads:
        torch.set_num_threads(threads)
    session = Session(
        minutes=minutes, accelerator=accelerator, precision=precision, workers=workers
    )
    try:
        chosen = TrainingConfig.load(config, settings or ())
        training, validation = split_by_scene(find_pairs(data), cache=out / "fingerprints.json")
        inputs = Inputs(training, validation, restorer=restorer)
        results = run_ablations(chosen, inputs, out, session)
    except (OSError, ValueError, TrainingDivergedError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table(results, len(validation)))
    if len({result.steps for result in results}) > 1:
        console.print("The variants have done different numbers of steps: run it again to go on.")


if __name__ == "__main__":
    app()
