"""Restorer files: recognise what a file holds and load it, ready to be used in a loss."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from amg_fuse_ros.network.checkpoint import (
    RESTORER_PREFIX,
    WeightsError,
    check_keys,
    read_tensors,
)
from training.restorer.published import Restorer
from training.restorer.small import SmallRestorer

_PUBLISHED_KEY = "patch_embed.proj.weight"
_SMALL_KEY = "unet.entry.weight"
_FUSION_KEY = "patch_embed_vi.proj.weight"


def load_restorer(path: str | Path) -> Restorer | SmallRestorer:
    """Load a restorer of either kind, frozen.

    The authors' restorer may lie in a checkpoint of its own or among a fusion network's weights
    under ``res.*``; either may be wrapped in "AWF" or "model", with or without "module.". Files
    are read with ``weights_only=True``: nothing in them is executed. Half precision becomes
    float32, float64 stays.

    Args:
        path: A safetensors or PyTorch file.

    Returns:
        The restorer in evaluation mode on the CPU. Its parameters need no gradient; the gradient
        still runs through it to its input, as equation 9 asks.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged, holds no restorer, or has missing or unknown keys.
    """
    path = Path(path)
    state = _restorer_part(read_tensors(path), path)
    kind: type[Restorer | SmallRestorer]
    if _PUBLISHED_KEY in state:
        kind, what = Restorer, "the published restorer"
    elif _SMALL_KEY in state:
        kind, what = SmallRestorer, "the small restorer"
    else:
        first = ", ".join(list(state)[:3])
        raise WeightsError(
            f"{path}: expected the keys of a restorer ({_PUBLISHED_KEY} or {_SMALL_KEY} and "
            f"others), found {first}, ..."
        )
    with torch.device("meta"):
        restorer = kind()
    check_keys(state, restorer.state_dict(), what, path)
    restorer.load_state_dict(state, assign=True)
    return restorer.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def _restorer_part(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    part = {
        key.removeprefix(RESTORER_PREFIX): value
        for key, value in tensors.items()
        if key.startswith(RESTORER_PREFIX)
    }
    if part:
        return part
    if _FUSION_KEY in tensors:
        raise WeightsError(
            f"{path}: expected a restorer's keys under {RESTORER_PREFIX}*, found a fusion network "
            "without one; give a restorer's own file"
        )
    return dict(tensors)
