"""The one fusion path: a thermal and an RGB array in, a fused image and its mask out.

The node, the command line, bag replay, evaluation and the benchmark all go through
:class:`Fuser`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from amg_fuse_ros.calibration_file import load_calibration
from amg_fuse_ros.engine import Engine, EngineError, create_engine
from amg_fuse_ros.engine.auto import AutoEngine
from amg_fuse_ros.engine.fallback import FallbackEngine, Link, OnFallback, fallback_links
from amg_fuse_ros.engine.shared import POOL, SharedEngine
from amg_fuse_ros.engine.static import StaticEngine
from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage, as_rgb, as_thermal
from amg_fuse_ros.imaging.guided_upsampling import upsample_guided
from amg_fuse_ros.imaging.local_mask import local_mask
from amg_fuse_ros.imaging.registration import Calibration, Registrar
from amg_fuse_ros.imaging.thermal import GainSettings, ThermalGain, to_unit_range
from amg_fuse_ros.network import fusion_mask, load_weights
from amg_fuse_ros.resolution import Resolution
from amg_fuse_ros.weights import find_weights

MASK_FORMS = ("local", "paper")
MIN_SCALE = 0.05


@dataclass(frozen=True)
class FusedFrame:
    """What comes out of one pair."""

    image: ByteImage
    """Fused image, RGB, uint8, H W 3, of the RGB image's size."""
    mask: FloatImage
    """How much of each pixel comes from the visible camera: float32, H W, 0..1."""
    timings: Mapping[str, float]
    """Seconds by stage: ``prepare``, ``engine``, ``finish``, and their sum ``total``."""
    scale: float
    """The fraction of the RGB size at which the pair was fused; below 1 detail is lost."""
    fused_at: tuple[int, int]
    """The size that this came to: width, height."""


class Fuser:
    """Fuses pairs with one engine.

    Not safe for use from several threads at once: give each thread its own, or a lock.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        *,
        scale: float = 1.0,
        mask_form: str = "local",
        gain: GainSettings | None = None,
        steady: bool = False,
        calibration: Calibration | None = None,
    ) -> None:
        """Use an engine, or by default the shipped weights on the best engine here.

        Args:
            engine: What runs the network.
            scale: Fraction of the RGB size at which pairs are fused, 0.05 to 1.
            mask_form: ``"local"``, equation 3 by local least squares, or ``"paper"``,
                equation 5 averaged over channels.
            gain: How thermal counts are mapped; the defaults when None.
            steady: The pairs are a sequence of one camera, as they came: the gain follows it
                slowly. Otherwise each pair is taken by itself.
            calibration: Where the thermal image lies in the RGB image; without one the two are
                taken for one view and the thermal image is resized. Pixels that the thermal
                camera does not see are the RGB image's, and their mask is 1.

        Raises:
            ValueError: If ``scale`` or ``mask_form`` is none of these.
        """
        self.engine = engine or create_engine(load_weights(find_weights()))
        self.scale = scale
        self.mask_form = mask_form
        self.steady = steady
        self._gain = ThermalGain(gain)
        self._calibration: Calibration | None = None
        self._registrar: Registrar | None = None
        self.calibration = calibration
        self._chain: Callable[..., FallbackEngine] | None = None
        self._on_fallback: OnFallback | None = None

    @classmethod
    def from_options(
        cls,
        *,
        weights: str | Path | None = None,
        size: str = "auto",
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        scale: float = 1.0,
        mask_form: str = "local",
        gain: GainSettings | None = None,
        steady: bool = False,
        registration: str | Path = "",
        fallback: str = "",
        on_fallback: OnFallback | None = None,
        shared: bool = False,
    ) -> "Fuser":
        """Load weights, make the engine, and return the fuser: what options and parameters name.

        Args:
            weights: Weights file; ``None`` or ``""`` takes the shipped weights of ``size``.
            size: ``"nano"``, ``"tiny"`` or ``"full"``; ``"auto"`` takes what the file holds, and
                without one what :func:`amg_fuse_ros.weights.automatic_size` finds.
            engine: See :func:`amg_fuse_ros.engine.create_engine`, as ``device``, ``precision``.
            device: Where to compute.
            precision: In which floating type.
            scale: See the constructor.
            mask_form: See the constructor, as ``gain`` and ``steady``.
            gain: How thermal counts are mapped.
            steady: Whether the pairs are a sequence.
            registration: Calibration file (``amg-fuse calibrate``); ``""`` for none.
            fallback: Engines that go on where the first one fails, see
                :func:`amg_fuse_ros.engine.fallback.fallback_links`; ``""`` for none.
            on_fallback: Told what ran, what runs now, and why; in the thread that fuses.
            shared: Use the engines of other fusers of this process that have the same weights,
                engine, device and precision, one pair at a time, in turn.

        Raises:
            FileNotFoundError: If the weights file or the calibration file is not there.
            ValueError: If the file cannot be used (:class:`amg_fuse_ros.network.WeightsError`)
                or an option is none of the known ones.
            EngineUnavailableError: If the engine cannot run here.
        """
        calibration = load_calibration(registration) if registration else None
        wanted = None if size == "auto" else size
        load = partial(load_weights, find_weights(weights, size, device), size=wanted)
        make = POOL.take if shared else create_engine
        chain = partial(FallbackEngine, load, on_fallback=on_fallback, make=make)
        fuser = cls(
            chain(links=fallback_links(fallback, Link(engine, device, precision), load)),
            scale=scale,
            mask_form=mask_form,
            gain=gain,
            steady=steady,
            calibration=calibration,
        )
        fuser._chain, fuser._on_fallback = chain, on_fallback
        return fuser

    @property
    def size(self) -> str:
        """Of the network: ``"nano"``, ``"tiny"`` or ``"full"``; empty with a bare engine."""
        return self.engine.size if isinstance(self.engine, FallbackEngine) else ""

    @property
    def fallback_reason(self) -> str:
        """Why it is not the first engine that runs; empty while it does."""
        return self.engine.reason if isinstance(self.engine, FallbackEngine) else ""

    def replacement(self, reason: str) -> "Fuser":
        """A fuser of the same settings in the place of this one, whose engine hangs.

        It runs the next engine of the chain, or where there is none the same one made anew. It
        shares nothing that changes with this one, which is left to the thread that hangs in it.

        Args:
            reason: What happened, for people.

        Raises:
            EngineError: If this fuser was not made from options, or no engine can be made.
        """
        if self._chain is None or not isinstance(self.engine, FallbackEngine):
            raise EngineError("only a fuser made from options can be replaced")
        self.engine.give_up()
        links = self.engine.links
        failed = str(self.engine.now)
        engine = self._chain(links=links[1:] or links, reason=f"{failed} failed: {reason}")
        fuser = Fuser(
            engine,
            scale=self.scale,
            mask_form=self.mask_form,
            gain=self.gain,
            steady=self.steady,
            calibration=self._calibration,
        )
        fuser._chain, fuser._on_fallback = self._chain, self._on_fallback
        if self._on_fallback is not None:
            self._on_fallback(failed, str(engine.now), reason)
        return fuser

    @property
    def scale(self) -> float:
        """Fraction of the RGB size at which pairs are fused."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        if not MIN_SCALE <= value <= 1.0:
            raise ValueError(f"scale: expected {MIN_SCALE} to 1.0, found {value}")
        self._scale = float(value)

    @property
    def mask_form(self) -> str:
        """``"local"`` or ``"paper"``."""
        return self._mask_form

    @mask_form.setter
    def mask_form(self, value: str) -> None:
        if value not in MASK_FORMS:
            raise ValueError(f"mask form: expected one of {MASK_FORMS}, found {value!r}")
        self._mask_form = value

    @property
    def gain(self) -> GainSettings:
        """How thermal counts are mapped; a new value holds from the next pair on."""
        return self._gain.settings

    @gain.setter
    def gain(self, value: GainSettings) -> None:
        self._gain.settings = value

    @property
    def calibration(self) -> Calibration | None:
        """Where the thermal image lies; another one holds from the next pair on."""
        return self._calibration

    @calibration.setter
    def calibration(self, value: Calibration | None) -> None:
        if value is not self._calibration:  # a registrar's table takes a moment to make
            self._calibration = value
            self._registrar = Registrar(value) if value is not None else None

    def reset(self) -> None:
        """Forget the pairs so far: another sequence begins."""
        self._gain.reset()

    def close(self) -> None:
        """Let the engine go; the last one who does so frees a shared one."""
        if isinstance(self.engine, FallbackEngine):
            self.engine.close()

    def warm_up(self, resolution: Resolution | None = None) -> None:
        """Fuse a blank pair, so that the first real one finds everything loaded.

        Args:
            resolution: Of the RGB images. Without it a small pair is fused, but not with engines
                that are built for a resolution: they wait for that of the first pair.
        """
        if resolution is not None:
            shape = (resolution.height, resolution.width)
            self.fuse(np.zeros(shape, np.uint8), np.zeros((*shape, 3), np.uint8))
            return
        engine: Engine | None = self.engine
        while isinstance(engine, FallbackEngine | SharedEngine):
            engine = engine.running
        if isinstance(engine, StaticEngine) or (isinstance(engine, AutoEngine) and engine.builds):
            return
        self.fuse(np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.uint8))

    def __call__(self, thermal: NDArray[Any], rgb: NDArray[Any]) -> FusedFrame:
        """Same as :meth:`fuse`."""
        return self.fuse(thermal, rgb)

    def fuse(self, thermal: NDArray[Any], rgb: NDArray[Any]) -> FusedFrame:
        """Fuse one pair.

        Args:
            thermal: uint8 or uint16 (counts), H W, or three equal channels; of any size, it is
                resized to the RGB frame.
            rgb: uint8, H W 3 in RGB order, or grey H W.

        Raises:
            ValueError: If an array is empty, of another type or shape (NaN among them).
            EngineError: If the network's result holds NaN or infinities.
        """
        began = perf_counter()
        thermal, rgb = as_thermal(thermal), as_rgb(rgb)
        height, width = rgb.shape[:2]
        scale = self._scale  # may be set by another thread
        fused_at = (max(1, round(width * scale)), max(1, round(height * scale)))
        visible = _unit_rgb(_resize(rgb, fused_at))
        full_warm, unseen = self._register(self._unit(thermal), rgb)
        warm = _resize(full_warm, fused_at)

        prepared = perf_counter()
        fused = self.engine.fuse(visible, warm)
        if not np.isfinite(fused).all():
            raise EngineError(
                f"the network gave values that are no numbers ({self.engine.name}, "
                f"{self.engine.precision}); try precision fp32, or check the weights file"
            )
        ran = perf_counter()

        if fused_at != (width, height):
            fused = upsample_guided(fused, visible, warm, rgb, full_warm)
            visible = _unit_rgb(rgb)
        mask = self._mask(fused, visible, full_warm)
        if unseen is not None:
            fused[unseen], mask[unseen] = visible[unseen], 1
        image = np.asarray(cv2.convertScaleAbs(fused, alpha=255), np.uint8)  # rounds, as rint does
        done = perf_counter()
        timings = {
            "prepare": prepared - began,
            "engine": ran - prepared,
            "finish": done - ran,
            "total": done - began,
        }
        return FusedFrame(image, mask, timings, scale, fused_at)

    def thermal_alone(
        self, thermal: NDArray[Any], size: tuple[int, int]
    ) -> tuple[FloatImage, NDArray[np.bool_] | None]:
        """The thermal image as the network gets it: its gain applied, on the RGB image's pixels.

        Args:
            thermal: See :meth:`fuse`.
            size: Width and height of the RGB image.

        Returns:
            float32, H W, 0..1, and which pixels it does not show (0 there); ``None`` if all do.

        Raises:
            ValueError: See :meth:`fuse`.
        """
        return self._place(self._unit(as_thermal(thermal)), size)

    def _unit(self, thermal: NDArray[Any]) -> FloatImage:
        return self._gain(thermal) if self.steady else to_unit_range(thermal, self.gain)

    def _register(
        self, thermal: FloatImage, rgb: ByteImage
    ) -> tuple[FloatImage, NDArray[np.bool_] | None]:
        """The thermal image on the RGB image's pixels, and which of these it does not show."""
        warm, unseen = self._place(thermal, (rgb.shape[1], rgb.shape[0]))
        if unseen is not None:
            # The network gets there what it sees anyway: a black border would look like an edge.
            warm = np.where(unseen, cv2.cvtColor(_unit_rgb(rgb), cv2.COLOR_RGB2GRAY), warm)
        return warm, unseen

    def _place(
        self, thermal: FloatImage, size: tuple[int, int]
    ) -> tuple[FloatImage, NDArray[np.bool_] | None]:
        if self._registrar is None:
            return _resize(thermal, size), None
        warm, seen = self._registrar(thermal, size)
        return warm, None if seen.all() else ~seen

    def _mask(self, fused: FloatImage, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        if self._mask_form == "local":
            return local_mask(fused, visible, thermal)
        f, vi = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (fused, visible))
        mask: FloatImage = (
            fusion_mask(f, vi, torch.from_numpy(thermal)[None, None])[0].mean(0).numpy()
        )
        return mask


def _unit_rgb(rgb: ByteImage) -> FloatImage:
    return np.divide(rgb, np.float32(255), dtype=np.float32)


def _resize(image: NDArray[Any], size: tuple[int, int]) -> Any:
    """To ``size`` (width, height): by area when smaller, else linear."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    smaller = size[0] < width or size[1] < height
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
