"""What fuses a recording, as something that can be sent to workers and written beside results."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amg_fuse_ros.imaging.thermal import GainSettings
from amg_fuse_ros.spread import Workers, workers_that_fit
from amg_fuse_ros.weights import find_weights

if TYPE_CHECKING:
    from amg_fuse_ros.fusion import Fuser

BYTES_OF_A_WORKER = 1 << 30
"""Memory of a process with its libraries and network, rounded up."""

BYTES_PER_PIXEL = 6500
"""Memory of the network's arrays for each pixel that is fused, at its peak, rounded up."""

PAIRS_EACH = 4
"""A worker takes seconds to start; for fewer pairs than this it is not worth it."""

USUAL_PIXELS = 640 * 480


@dataclass(frozen=True)
class Recipe:
    """The options of :meth:`amg_fuse_ros.fusion.Fuser.from_options`, before anything is loaded."""

    weights: str = ""
    size: str = "auto"
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    scale: float = 1.0
    mask_form: str = "local"
    registration: str = ""
    thermal_gain: str = "percentile"
    thermal_polarity: str = "white_hot"

    def make(self) -> "Fuser":
        """Load the weights and make the fuser.

        Raises:
            ValueError, FileNotFoundError, EngineUnavailableError: See ``Fuser.from_options``.
        """
        from amg_fuse_ros.fusion import Fuser

        return Fuser.from_options(
            weights=self.weights,
            size=self.size,
            engine=self.engine,
            device=self.device,
            precision=self.precision,
            scale=self.scale,
            mask_form=self.mask_form,
            gain=GainSettings(gain=self.thermal_gain, polarity=self.thermal_polarity),
            registration=self.registration,
        )

    @property
    def weights_file(self) -> Path:
        """The weights' file, the shipped one where none was named.

        Raises:
            FileNotFoundError: If none are shipped for the size.
        """
        return find_weights(self.weights, self.size, self.device)

    def card(self) -> dict[str, Any]:
        """What the results depend on beside their inputs, for the ``run.json`` beside them.

        Raises:
            FileNotFoundError: If the weights or the calibration are not there.
        """
        file = self.weights_file
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such weights file")
        settings = {
            "engine": self.engine,
            "device": self.device,
            "precision": self.precision,
            "scale": self.scale,
            "mask.form": self.mask_form,
            "thermal.gain": self.thermal_gain,
            "thermal.polarity": self.thermal_polarity,
            "registration": _digest(Path(self.registration)) if self.registration else "",
        }
        return {
            "weights_file": file.name,
            "weights_sha256": _digest(file),
            "settings": settings,
        }


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def choose_workers(
    asked: Workers, recipe: Recipe, at_most: int, pixels: int = USUAL_PIXELS
) -> Workers:
    """How many workers to take where it was left open: what was measured to be fastest.

    On CPUs one for each core, each with one thread, as far as the memory reaches: threads that
    share one image wait for each other at every operation. On a GPU one.

    Args:
        asked: What was asked for; a count that is not 0 stays.
        recipe: What fuses.
        at_most: More would not pay off, since there is not enough to do.
        pixels: Of an image before it is scaled.
    """
    asked = replace(asked, gpus=recipe.device != "cpu")
    if asked.count or asked.ray:
        return asked
    if at_most <= 1 or _on_a_gpu(recipe.device):
        return replace(asked, count=1)
    each = BYTES_OF_A_WORKER + round(BYTES_PER_PIXEL * pixels * recipe.scale**2)
    return replace(asked, count=min(workers_that_fit(each), at_most))


def _on_a_gpu(device: str) -> bool:
    if device == "auto":
        import torch

        return torch.cuda.is_available()
    return device.startswith("cuda")
