"""Checkpoints small enough to travel: Adam's moments and the average in bfloat16.

The weights stay float32. The average is kept as its difference to them, which is small, so that
half precision costs it nothing that shows; the moments steer the next steps and are forgotten
within a thousand. Compressed, that is 39 MiB for Tiny instead of 76, without the moments 26.
"""

import hashlib
import io
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.run_folder import BEST, DESCRIPTION, LAST, RunError, RunFolder
from training.schedule import save_whole

PACKED = "run.packed"
PARTS = "parts.json"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_LEVEL = 1  # higher ones take longer and gain nothing
_BESIDES = (DESCRIPTION, "log.jsonl")


def pack(content: Mapping[str, Any], *, moments: bool = True) -> dict[str, Any]:
    """A checkpoint's content (``last.ckpt``) in its small form.

    Args:
        content: What :meth:`training.run_folder.RunFolder.load` gives.
        moments: Keep Adam's moments; without them it begins anew with a short warm-up.
    """
    network: Mapping[str, Tensor] = content["network"]
    kept = {k: v for k, v in content.items() if k not in ("average", "optimizer")}
    kept["average_difference"] = {
        name: (value - network[name]).bfloat16() for name, value in content["average"].items()
    }
    if moments and "optimizer" in content:
        kept["optimizer"] = _with_moments(content["optimizer"], torch.bfloat16)
    return kept


def unpack(packed: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``last.ckpt`` from its small form."""
    content = {k: v for k, v in packed.items() if k != "average_difference"}
    network: Mapping[str, Tensor] = packed["network"]
    content["average"] = {
        name: network[name] + value.float() for name, value in packed["average_difference"].items()
    }
    if "optimizer" in content:
        content["optimizer"] = _with_moments(content["optimizer"], torch.float32)
    return content


def _with_moments(optimizer: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    state = {
        number: {k: v.to(dtype) if k in _MOMENTS else v for k, v in values.items()}
        for number, values in optimizer["state"].items()
    }
    return {**optimizer, "state": state}


def to_bytes(content: Mapping[str, Any]) -> bytes:
    """The content as a file's bytes."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return zlib.compress(buffer.getvalue(), _LEVEL)


def from_bytes(data: bytes, source: Path) -> dict[str, Any]:
    """The inverse of :func:`to_bytes`; nothing in the data is executed.

    Raises:
        RunError: If the data are no packed checkpoint; the message names ``source``.
    """
    try:
        content: dict[str, Any] = torch.load(io.BytesIO(zlib.decompress(data)), weights_only=True)
        content["network"], content["average_difference"]
    except Exception as error:  # the reader raises whatever damaged bytes lead it to
        raise RunError(f"{source}: expected a packed checkpoint, found {error}") from error
    return content


def write_parts(run: Path, out: Path, part_bytes: int) -> list[Path]:
    """Put a run into a folder as files of limited size.

    Args:
        run: Folder of the run.
        out: Where to; ``parts.json`` lists the parts with their hashes.
        part_bytes: Size of the largest file.

    Returns:
        The files written.

    Raises:
        RunError: If the run has no checkpoint.
    """
    folder = RunFolder(run)
    files = {PACKED: to_bytes(pack(folder.load()))}
    if (run / BEST).is_file():
        best = folder.load(BEST)
        half = {name: value.half() for name, value in best["average"].items()}
        files[BEST] = to_bytes({**best, "average": half})
    files |= {name: (run / name).read_bytes() for name in _BESIDES if (run / name).is_file()}
    out.mkdir(parents=True, exist_ok=True)
    written, told = [], {}
    for name, data in files.items():
        count = max(1, -(-len(data) // part_bytes))
        names = [name] if count == 1 else [f"{name}.{i:02d}" for i in range(count)]
        for i, part in enumerate(names):
            path = out / part
            path.write_bytes(data[i * part_bytes : (i + 1) * part_bytes])
            written.append(path)
        told[name] = {"parts": names, "sha256": hashlib.sha256(data).hexdigest()}
    (out / PARTS).write_text(json.dumps(told, indent=1))
    return [*written, out / PARTS]


def read_parts(parts: Path, run: Path, *, replace: bool = False) -> int:
    """Put what :func:`write_parts` wrote back into a run's folder.

    Args:
        parts: The folder with the parts.
        run: Folder of the run, created when it is not there.
        replace: Also where the run there has come further.

    Returns:
        The step of the checkpoint.

    Raises:
        RunError: If a part is missing or damaged, or the run has come further.
    """
    try:
        told: dict[str, Any] = json.loads((parts / PARTS).read_text())
        files = {name: _join(parts, name, entry) for name, entry in told.items()}
        content = unpack(from_bytes(files.pop(PACKED), parts / PACKED))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{parts}: expected all parts of a run, found {error}") from error
    folder = RunFolder(run)
    if (run / LAST).is_file() and not replace and folder.load()["step"] > content["step"]:
        raise RunError(
            f"{run} is at step {folder.load()['step']}, the parts are of step {content['step']}: "
            "choose another folder, or say --replace"
        )
    run.mkdir(parents=True, exist_ok=True)
    if BEST in files:
        best = torch.load(io.BytesIO(zlib.decompress(files.pop(BEST))), weights_only=True)
        best["average"] = {name: value.float() for name, value in best["average"].items()}
        save_whole(best, run / BEST)
    for name in _BESIDES:
        if name in files:
            (run / name).write_bytes(files[name])
    save_whole(content, run / LAST)
    return int(content["step"])


def _join(parts: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    names = [str(part) for part in entry["parts"]]
    if any(not re.fullmatch(re.escape(name) + r"(\.\d\d)?", part) for part in names):
        raise RunError(f"{parts}: expected parts of {name}, found {names}")
    data = b"".join((parts / part).read_bytes() for part in names)
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise RunError(f"{parts}: {name} is damaged, copy its parts again: {', '.join(names)}")
    return data
