"""``python -m training.export RUN --out FILE``: a run's weights as a file with a card."""

import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer

from amg_fuse_ros.network import AMGFuse, save_weights
from training.config import TrainingConfig
from training.data.pairs import PairFiles, find_pairs, manifest
from training.metrics import METRICS
from training.run_folder import BEST, LAST, RunError, RunFolder
from training.validation import Validator
from training.variants import to_standard

logger = logging.getLogger(__name__)

Which = Literal["average", "best", "last"]

app = typer.Typer(add_completion=False)


def export(
    run: Path, out: Path, which: Which = "average", *, half: bool = False, data: Path | None = None
) -> dict[str, Any]:
    """Write the weights of a run as safetensors with a card.

    Args:
        run: Folder of the run; one of an older version may lack entries, so does the card then.
        out: The file to write.
        which: ``average`` (the exponential average now), ``best`` (the average at the best
            validation score) or ``last`` (what the last step left).
        half: Store half precision: half the size; loading gives float32.
        data: Folder of the pairs. With it the card's manifest is made anew from the pairs that
            the run names, and all other pairs there are scored, all seven metrics.

    Returns:
        The card.

    Raises:
        RunError: If there is no such checkpoint, or it cannot be read.
        ValueError: If the weights mean nothing to an ordinary network (an ablation's).
        OSError: If the file cannot be written.
    """
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: expected a file name that ends in .safetensors")
    folder = RunFolder(run)
    content = folder.load(BEST if which == "best" else LAST)
    config = TrainingConfig.from_dict(content["config"])
    weights = content["network" if which == "last" else "average"]
    dtype = torch.float16 if half else None
    if not all(bool(value.to(dtype=dtype).isfinite().all()) for value in weights.values()):
        kind = "finite in half precision" if half else "finite"
        raise RunError(f"{run}: expected weights ({which}) that are {kind}, found others")
    network = AMGFuse.from_size(config.size)
    network.load_state_dict(weights)
    to_standard(network, config.cross_attention)
    told = folder.description()
    card = make_card(content, told, which)
    if data is not None:
        card |= _card_of_data(network, find_pairs(data), told.get("pairs", []))
    out.parent.mkdir(parents=True, exist_ok=True)
    save_weights(network, out, card, dtype)
    return card


def make_card(
    content: Mapping[str, Any], description: Mapping[str, Any], which: Which
) -> dict[str, Any]:
    """What the weights are, from a checkpoint and its ``run.json``; JSON-ready.

    The commit is that of the last session, the date that of the export.
    """
    config = TrainingConfig.from_dict(content["config"])
    sessions = description.get("sessions", [])
    named = description.get("pairs")
    # The newest scores of the average are its own up to a few hundred steps.
    scores = content.get("scores", {})
    return {
        "network": "AMG-Fuse",
        "size": config.size,
        "weights": {
            "average": "exponential average",
            "best": "exponential average at the best validation score",
            "last": "last step",
        }[which],
        "steps": content["step"],
        "pairs_seen": content["step"] * config.batch,
        "minutes": round(content["seconds"] / 60, 1) if "seconds" in content else None,
        "data": description.get("data") or ({"pairs": len(named)} if named else None),
        "validation": scores or None,
        "config": config.to_dict(),
        "origin": description.get("origin"),
        "commit": sessions[-1].get("commit") if sessions else None,
        "versions": sessions[-1].get("versions") if sessions else None,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def _card_of_data(
    network: AMGFuse, pairs: list[PairFiles], trained_on: list[str]
) -> dict[str, Any]:
    """Manifest of the pairs that were trained on, and scores on the others."""
    names = set(trained_on)
    if not names:
        raise RunError("run.json names no pairs, so none can be told from those trained on")
    used = [files for files in pairs if files.name in names]
    if missing := len(names) - len(used):
        raise RunError(
            f"{missing} of the {len(names)} pairs that the run names are not in that folder: "
            "expected the data that it was trained on"
        )
    held_out = [files for files in pairs if files.name not in names]
    card: dict[str, Any] = {"data": manifest(used)}
    if held_out:
        validator = Validator(held_out, limit=None, keys=tuple(METRICS))
        scores = validator.score(validator.fuse(network.eval()))
        card["validation"] = {"pairs": len(validator.samples), **scores}
    return card


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    out: Annotated[Path, typer.Option(help="File to write, .safetensors.")],
    which: Annotated[Which, typer.Option(help="Which of the run's weights.")] = "average",
    half: Annotated[bool, typer.Option("--half", help="Half precision, half the size.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="The run's data: score the pairs not trained on.")
    ] = None,
) -> None:
    """Write a run's weights as a safetensors file whose card says what they are."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        card = export(run, out, which, half=half, data=data)
    except (OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    scores = card["validation"]
    told = f", validation score {scores['score']:.4f}" if scores else ""
    size = out.stat().st_size / 2**20
    typer.echo(f"{out}: {size:.1f} MiB, {card['size']}, {card['steps']} steps{told}")


if __name__ == "__main__":
    app()
