"""Runs here without any build: compiled kernels on the CPU, PyTorch as it is on CUDA devices."""

import contextlib
import logging
from contextlib import AbstractContextManager

import numpy as np
import torch

from amg_fuse_ros.engine.base import EngineUnavailableError, FloatImage
from amg_fuse_ros.network import AMGFuse, FusionNetwork
from amg_fuse_ros.network.inference import is_available

logger = logging.getLogger(__name__)

PRECISIONS = ("fp32", "bf16", "fp16", "fp64")

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class EagerEngine:
    """Runs the network step by step.

    On the CPU fp32 and fp64 run the paper's sizes in the formulation that is made for it, where
    numba is installed; everything else runs the readable modules in torch. bf16 and fp16 mean
    mixed precision: convolutions and products in the short type, sums and exponentials in
    float32. fp64 is for verification.
    """

    name = "eager"

    def __init__(
        self, network: FusionNetwork, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Move the network to the device.

        Raises:
            ValueError: If there is no such device name or precision.
            EngineUnavailableError: If the device is not there.
        """
        self._device = _find_device(device)
        self.precision = _choose_precision(precision, self._device)
        self.device = str(self._device)
        dtype = torch.float64 if self.precision == "fp64" else torch.float32
        self._network = network.eval().to(self._device, dtype)
        self._network.to(memory_format=torch.channels_last)
        self._dtype = dtype
        self._fuse = self._network.fuse
        if (
            isinstance(self._network, AMGFuse)
            and self._device.type == "cpu"
            and self.precision not in _AUTOCAST
            and is_available()
        ):
            from amg_fuse_ros.network.inference.compile import are_kernels_compiled
            from amg_fuse_ros.network.inference.fast_network import FastNetwork

            if not are_kernels_compiled():
                logger.info("the network's kernels are compiled at the first pair, once: a minute")

            self._fuse = FastNetwork(
                self._network, np.float64 if self.precision == "fp64" else np.float32
            ).fuse

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair; see :class:`amg_fuse_ros.engine.Engine`."""
        with torch.inference_mode(), self._mixed_precision():
            vi = torch.from_numpy(np.ascontiguousarray(visible)).to(self._device, self._dtype)
            ir = torch.from_numpy(np.ascontiguousarray(thermal)).to(self._device, self._dtype)
            fused = self._fuse(vi.permute(2, 0, 1)[None], ir[None, None])[0]
            image = fused.float().clamp(0, 1).permute(1, 2, 0).contiguous()
            result: FloatImage = image.cpu().numpy()
        return result

    def _mixed_precision(self) -> AbstractContextManager[None]:
        if self.precision in _AUTOCAST:
            return torch.autocast(self._device.type, _AUTOCAST[self.precision])
        return contextlib.nullcontext()


def _find_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"expected device auto, cpu, cuda or cuda:N, found {name!r}")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise EngineUnavailableError(
                f"expected the device {name!r}, found {count} CUDA devices; choose device: cpu, "
                "or install a CUDA build of torch and its driver"
            )
    return device


def _choose_precision(name: str, device: torch.device) -> str:
    if name == "auto":
        return "fp32"
    if name not in PRECISIONS:
        raise ValueError(f"expected a precision among {('auto', *PRECISIONS)}, found {name!r}")
    if name == "fp16" and device.type == "cpu":
        raise EngineUnavailableError("fp16 needs a CUDA device; choose fp32 or bf16 on the CPU")
    return name
