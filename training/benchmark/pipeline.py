"""A method as a function: restore the visible image where that is asked for, then fuse."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from training.baselines import fuse_baseline
from training.benchmark.methods import CLEAN, Method

Image = npt.NDArray[np.uint8]
Fuse = Callable[[Image, Image], Image]
"""Thermal and visible (H W or H W 3 RGB, uint8) to fused, the same size."""


@dataclass(frozen=True)
class Pipeline:
    """A method that is loaded: call it with thermal and visible image.

    ``engine`` tells what runs the network (engine, precision, device), empty without one.
    """

    fuse: Fuse
    restore: Callable[[Image], Image] | None = None
    engine: str = ""

    def __call__(self, thermal: Image, visible: Image) -> Image:
        """Fuse a pair (see `Fuse`)."""
        return self.fuse(thermal, self.restore(visible) if self.restore else visible)


@lru_cache(maxsize=2)
def load(method: Method) -> Pipeline:
    """Load what a method needs; the last two methods stay loaded.

    Raises:
        FileNotFoundError: A weights file is not there.
        ValueError: A weights file or an option cannot be used, or the method has only results.
        EngineUnavailableError: The engine cannot run here.
    """
    restore = None
    if method.restore not in ("", CLEAN):
        restore = Restoration(method.restore, method.device)
    if method.kind == "baseline":
        return Pipeline(partial(fuse_baseline, method.source), restore)
    if method.kind != "weights":
        raise ValueError(f"{method.name}: has results only, it cannot be run")
    # Imported here: baselines and folders of results need no torch.
    from amg_fuse_ros.fusion import Fuser

    fuser = Fuser.from_options(
        weights=method.source,
        size=method.size,
        engine=method.engine,
        device=method.device,
        precision=method.precision,
        scale=1.0,
    )
    engine = f"{fuser.engine.name}, {fuser.engine.precision}, {fuser.engine.device}"
    return Pipeline(lambda thermal, visible: fuser.fuse(thermal, visible).image, restore, engine)


class Restoration:
    """A restorer as a function of 8-bit images.

    Args:
        path: Weights of a restorer, see :func:`training.restorer.load_restorer`.
        device: As torch names it; "auto" takes CUDA where it is there.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no restorer.
    """

    def __init__(self, path: str, device: str = "auto") -> None:
        import torch

        from training.restorer import load_restorer

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network: Any = load_restorer(path).to(device)
        self.device = device

    def __call__(self, visible: Image) -> Image:
        """Restore a visible image, H W 3 RGB uint8 (grey ones are taken as RGB)."""
        import torch

        if visible.ndim == 2:
            visible = np.repeat(visible[..., None], 3, axis=2)
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(visible)).to(self.device)
            y = self.network(x.permute(2, 0, 1)[None].float() / 255)[0]
            restored: Image = (y.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(restored)
