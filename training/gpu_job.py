"""Pack a training session for a GPU machine that has only torch, numpy and what is packed.

``tools/train_on_gpu.sh`` is the command; ``training.gpu_session`` runs there.
"""

import json
import logging
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from training.config import TrainingConfig
from training.data.pairs import PairFiles, find_pairs
from training.gpu_session import DATA, JOB
from training.packed_checkpoint import PACKED, pack, read_parts, to_bytes
from training.run_folder import LAST, RunFolder

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
CODE = ("amg_fuse_ros", "training")
CODE_SUFFIXES = {".py", ".yaml", ".txt"}
RUNNER = ROOT / "tools" / "run_gpu_job.sh"
MIB = 2**20

SMALL_WHEELS = (
    "lightning-fabric",
    "lightning-utilities",
    "packaging",
    "rich",
    "markdown-it-py",
    "mdurl",
    "pygments",
    "PyYAML",
    "safetensors",
)
LARGE_WHEELS = ("opencv-python-headless<5", "scipy")
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in (28, 27, 17, 5)] + ["manylinux2014_x86_64"]

app = typer.Typer(add_completion=False)


class JobError(ValueError):
    """A job that cannot be packed as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """How large things may be, in MiB."""

    total: float = 62.0
    pairs: float = 60.0
    part: float = 15.0
    """Of a file that comes back."""


def pack_code(job: Path) -> None:
    """Write ``code.tar.gz``: the modules and presets, nothing else."""
    with tarfile.open(job / "code.tar.gz", "w:gz") as archive:
        for package in CODE:
            for path in sorted((ROOT / package).rglob("*")):
                if path.suffix in CODE_SUFFIXES and "__pycache__" not in path.parts:
                    archive.add(path, path.relative_to(ROOT))


def pack_pairs(job: Path, data: Path, limit: float) -> int:
    """Write ``data.tar`` with as many pairs as the limit in bytes allows, evenly spread.

    The folders keep their names and places, so that names, scenes and splits are the same there.

    Returns:
        The number of pairs.

    Raises:
        JobError: If not even one fits.
    """
    pairs = find_pairs(data)
    root = data.resolve()
    chosen = _thin(pairs, limit)
    if len(chosen) < len(pairs):
        logger.warning("%d of %d pairs fit into %.0f MiB", len(chosen), len(pairs), limit / MIB)
    with tarfile.open(job / DATA, "w") as archive:
        for files in chosen:
            for path in files.paths:
                place = Path(root.name) / _absolute(path).relative_to(root)
                archive.add(path.resolve(), place)
    return len(chosen)


def _thin(pairs: Sequence[PairFiles], limit: float) -> list[PairFiles]:
    sizes = [sum(path.stat().st_size + 1024 for path in files.paths) for files in pairs]
    for step in range(1, len(pairs) + 1):
        if sum(sizes[::step]) + 10240 <= limit:
            return list(pairs[::step])
    raise JobError(
        f"{max(0.0, limit) / MIB:.1f} MiB are left for pairs, the first needs "
        f"{sizes[0] / MIB:.1f}: pack fewer wheels (--wheels none), or raise --limit"
    )


def _absolute(path: Path) -> Path:
    return path.parent.resolve() / path.name


def pack_wheels(job: Path, names: Sequence[str], python: str) -> None:
    """Download wheels for Linux on x86-64 into ``wheels``.

    Raises:
        JobError: If that fails.
    """
    folder = job / "wheels"
    folder.mkdir()
    if not names:
        return
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    done = subprocess.run(
        [*command, *platforms, "-d", str(folder), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise JobError(
            f"pip cannot download {', '.join(names)} for Python {python} ({last}); "
            "--wheels none packs none, for a machine that has them"
        )


def pack_run(job: Path, run: Path, limit: float) -> None:
    """Write the run's checkpoint, without Adam's moments where they would not fit.

    Raises:
        RunError: If it cannot be read.
        JobError: If it is larger than the limit in bytes even so.
    """
    content = RunFolder(run).load()
    data = to_bytes(pack(content))
    if len(data) > limit:
        whole = len(data)
        data = to_bytes(pack(content, moments=False))
        logger.warning(
            "the optimiser's moments are left out (%.1f MiB): Adam begins anew, with a short "
            "warm-up",
            (whole - len(data)) / MIB,
        )
    if len(data) > limit:
        raise JobError(
            f"{run / LAST} needs {len(data) / MIB:.1f} MiB, {limit / MIB:.1f} are left; "
            "raise --limit, or start anew from half-precision weights (--init)"
        )
    (job / PACKED).write_bytes(data)
    for name in ("run.json", "log.jsonl"):
        if (run / name).is_file():
            shutil.copy(run / name, job / name)


def sizes(job: Path) -> dict[str, int]:
    """Bytes of each file and folder of a job."""
    return {
        path.name: sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
        if path.is_dir()
        else path.stat().st_size
        for path in sorted(job.iterdir())
    }


@app.command("pack")
def pack_command(
    data: Annotated[Path, typer.Option(help="Data set, folder with ir/ + vi/, or several.")],
    run: Annotated[Path, typer.Option(help="The run; with a checkpoint it goes on.")],
    out: Annotated[Path, typer.Option(help="The job folder, made anew.")] = Path("runs/gpu_job"),
    config: Annotated[str, typer.Option(help="Preset or YAML file, for a new run.")] = "default",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE instead of the preset's.")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Weights file a new run starts from.")] = None,
    restorer: Annotated[Path | None, typer.Option(help="Restorer's file, for TDAS.")] = None,
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 8.0,
    fill: Annotated[bool, typer.Option(help="A new run's batch fills the card.")] = True,
    wheels: Annotated[str, typer.Option(help="small, all (with OpenCV) or none.")] = "small",
    python: Annotated[str, typer.Option(help="That machine's Python.")] = "3.12",
    limit: Annotated[float, typer.Option(help="MiB that the job may have in all.")] = 62.0,
) -> None:
    """Make a job folder: code, pairs, wheels, the last checkpoint."""
    names = {"none": (), "small": SMALL_WHEELS, "all": (*SMALL_WHEELS, *LARGE_WHEELS)}.get(wheels)
    try:
        if names is None:
            raise JobError(f"--wheels: expected small, all or none, found {wheels!r}")
        limits = Limits(total=limit)
        chosen = TrainingConfig.load(config, settings or ())
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        told = {
            "config": chosen.to_dict(),
            "data": data.resolve().name,
            "minutes": minutes,
            "fill": fill,
            "accelerator": "auto",
            "precision": "bf16-mixed",
            "part_bytes": int(limits.part * MIB),
        }
        pack_code(out)
        shutil.copy(RUNNER, out / "run.sh")
        pack_wheels(out, names, python)
        going_on = (run / LAST).is_file()
        for name, path in (("initial_weights", None if going_on else init), ("restorer", restorer)):
            if path is not None:
                told[name] = name + path.suffix
                shutil.copy(path, out / (name + path.suffix))
        (out / JOB).write_text(json.dumps(told, indent=1))

        def left() -> float:
            return limits.total * MIB - sum(sizes(out).values())

        if going_on:
            # Pairs first: a checkpoint can do without its moments, training not without pairs.
            everything = sum(p.stat().st_size + 1024 for f in find_pairs(data) for p in f.paths)
            pack_run(out, run, left() - min(everything + 10240, limits.pairs * MIB))
        count = pack_pairs(out, data, min(limits.pairs * MIB, left()))
    except (OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    for name, size in sizes(out).items():
        typer.echo(f"  {name:<28} {size / MIB:7.2f} MiB")
    total = sum(sizes(out).values()) / MIB
    what = "goes on" if going_on else f"starts anew{' from given weights' if init else ''}"
    typer.echo(f"{out}: {total:.1f} MiB, {count} pairs, the run {what}")
    typer.echo(f"there: OUT=FOLDER bash {out.name}/run.sh    here: unpack FOLDER --run {run}")


@app.command("unpack")
def unpack_command(
    parts: Annotated[Path, typer.Argument(help="Folder with what came back.")],
    run: Annotated[Path, typer.Option(help="The run's folder.")],
    replace: Annotated[bool, typer.Option(help="Also where it has come further.")] = False,
) -> None:
    """Put what came back from the machine into the run's folder."""
    try:
        step = read_parts(parts, run, replace=replace)
    except (OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{run}: at step {step}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    app()
