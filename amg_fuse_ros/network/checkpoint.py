"""Weights files: this project's safetensors and the authors' checkpoints."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from amg_fuse_ros.network.amg_fuse import SIZES, AMGFuse
from amg_fuse_ros.network.fusion_network import FusionNetwork
from amg_fuse_ros.network.nano import NANO, Nano, channels_of

WRAPPERS = ("AWF", "model")
"""Keys under which the authors' files hold the state dict; some hold it at top level."""

RESTORER_PREFIX = "res."
IGNORED_PREFIXES = (RESTORER_PREFIX, "skip_conv.")
"""In some of the authors' files, and no part of the fusion network."""


class WeightsError(ValueError):
    """A weights file that cannot be used: which file, what was expected, what was found."""


def load_weights(path: str | Path, *, size: str | None = None) -> FusionNetwork:
    """Build the network that a weights file was made for and load the file into it.

    Safetensors files and PyTorch files (``.pth``, ``.pt``, ``.ckpt``) are read; the latter with
    ``weights_only=True``, so that nothing in them is executed. The state dict may lie at top
    level or under "AWF" or "model", with or without "module." in front of its keys; the
    restorer's keys ``res.*`` are left out. Half-precision weights become float32, float64 stays.

    Args:
        path: The file.
        size: Refuse a file of another size than this (``"nano"``, ``"tiny"``, ``"full"``);
            ``None`` takes the size that the file has.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged, of another size, or has missing or unknown keys.
    """
    path = Path(path)
    state = read_state_dict(path)
    found = _size_of(state, path)
    if size is not None and size != found:
        raise WeightsError(f"{path}: expected weights of size {size!r}, found size {found!r}")
    with torch.device("meta"):
        network = _network_for(state, found)
    check_keys(state, network.state_dict(), f"size {found!r}", path)
    if broken := [key for key, value in state.items() if not value.isfinite().all()]:
        raise WeightsError(f"{path}: expected finite weights, found others in {_some(broken)}")
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(True)


def save_weights(
    network: FusionNetwork,
    path: str | Path,
    card: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Write a safetensors file whose metadata hold the card.

    Args:
        network: The network; its size is added to the card.
        path: The file; written whole or not at all.
        card: What the weights are (data, steps, commit, metrics): plain values, kept as JSON.
        dtype: Floating type to store, by default that of the weights.
    """
    save_tensors(network.state_dict(), path, {"size": network.size.name, **card}, dtype)


def save_tensors(
    state: Mapping[str, Tensor],
    path: str | Path,
    card: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Write any state dict as :func:`save_weights` does: safetensors with a card, or nothing."""
    path = Path(path)
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, {"format": "pt", "card": json.dumps(dict(card))})
    partial.replace(path)


def read_card(path: str | Path) -> dict[str, Any]:
    """The card in a safetensors file; empty where there is none (the authors' files).

    Raises:
        WeightsError: If the file is damaged.
    """
    if Path(path).suffix != ".safetensors":
        return {}
    try:
        with safe_open(str(path), "pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "{}"))
    except (SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: expected a card of names and values, found {card!r:.80}")
    return card


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The fusion network's state dict in a file: unwrapped, at least float32, without ``res.*``.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the file cannot be read or holds no state dict.
    """
    tensors = read_tensors(path)
    return {k: v for k, v in tensors.items() if not k.startswith(IGNORED_PREFIXES)}


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a weights file: unwrapped, without "module.", at least float32.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the file cannot be read or holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    content = _read_file(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(
            f"{path}: expected a state dict at top level or under {WRAPPERS}, "
            f"found {type(content).__name__}"
        )
    state: dict[str, Tensor] = {}
    for key, value in content.items():
        if not isinstance(value, Tensor):
            raise WeightsError(
                f"{path}: expected a tensor under {key!r}, found {type(value).__name__}"
            )
        _check_tensor(str(key), value, path)
        name = str(key).removeprefix("module.")
        state[name] = value if value.dtype == torch.float64 else value.float()
    return state


def _check_tensor(key: str, value: Tensor, path: Path) -> None:
    """Refuses a tensor that is not what it seems, before it is copied.

    A view of one value can have any shape, and one without data any size.
    """
    plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_complex()
    if not plain:
        raise WeightsError(
            f"{path}: expected plain numbers under {key!r}, found {value.dtype} "
            f"({value.layout}) on {value.device}"
        )
    if value.numel() * value.element_size() > path.stat().st_size:
        raise WeightsError(
            f"{path}: {key!r} claims {tuple(value.shape)} values of {value.dtype}, more than the "
            "file holds"
        )


def _check_archive(path: Path) -> None:
    """Refuses an archive that unpacks to much more than it is; PyTorch's are not compressed."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > 2 * path.stat().st_size:
            raise ValueError(f"an archive that unpacks to {unpacked} bytes")


def _read_file(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), "pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise whatever the damaged bytes lead them to
        raise WeightsError(
            f"{path}: expected a safetensors file or a PyTorch state dict, found a file of "
            f"{path.stat().st_size} bytes that cannot be read: truncated, or not weights at all "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else error!r})"
        ) from error


def _size_of(state: Mapping[str, Tensor], path: Path) -> str:
    key = "patch_embed_vi.proj.weight"
    if "stem.weight" in state and key not in state:
        return NANO.name
    if key not in state:
        first = ", ".join(list(state)[:3])
        raise WeightsError(
            f"{path}: expected the keys of AMG-Fuse ({key} and others), found {first}, ..."
        )
    dim = state[key].shape[0]
    for size in SIZES.values():
        if size.dim == dim:
            return size.name
    known = {size.name: size.dim for size in SIZES.values()}
    raise WeightsError(f"{path}: expected a first layer of width {known}, found {dim}")


def _network_for(state: Mapping[str, Tensor], size: str) -> FusionNetwork:
    """A network of a size, a nano of the file's widths; its keys are not checked yet."""
    if size != NANO.name:
        return AMGFuse.from_size(size)
    try:
        return Nano(channels_of(state))
    except (KeyError, IndexError, RuntimeError):
        return Nano()  # then the keys or shapes will not fit, and that is what is told


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """Hash of the names, types and values of a state dict, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def check_keys(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str, path: Path
) -> None:
    """Refuse a state dict whose keys or shapes are not the expected ones.

    Args:
        state: What the file holds.
        expected: A state dict of the network it is for.
        what: The network's name for the message.
        path: The file, for the message.

    Raises:
        WeightsError: If keys are missing or unknown, or a shape differs.
    """
    missing = [k for k in expected if k not in state]
    unknown = [k for k in state if k not in expected]
    if missing or unknown:
        raise WeightsError(
            f"{path}: expected the {len(expected)} keys of {what}; "
            f"{len(missing)} missing ({_some(missing)}), {len(unknown)} unknown ({_some(unknown)})"
        )
    for key, value in expected.items():
        if state[key].shape != value.shape:
            raise WeightsError(
                f"{path}: {key}: expected shape {tuple(value.shape)} of {what}, "
                f"found {tuple(state[key].shape)}"
            )


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "") if keys else "none"
