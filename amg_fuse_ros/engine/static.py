"""What engines have in common that are built for one resolution at a time."""

import importlib.util
from collections import OrderedDict
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from torch import Tensor, nn

import amg_fuse_ros
from amg_fuse_ros.engine.base import EngineUnavailableError, FloatImage
from amg_fuse_ros.engine.cache import Key
from amg_fuse_ros.network import FusionNetwork
from amg_fuse_ros.network.amg_fuse import SIZE_MULTIPLE
from amg_fuse_ros.network.blocks import reflect_to_multiple
from amg_fuse_ros.network.checkpoint import fingerprint

KEPT_RESOLUTIONS = 3
"""Built engines in memory; the one that was not used for longest leaves first."""

Run = Callable[[Tensor, Tensor], Tensor]
"""Visible 1 3 H W and thermal 1 1 H W, in [0, 1], to the fused image, 1 3 H W, clamped.

With ``channels_last`` all three have their channels as the last axis.
"""


class FusedImage(nn.Module):
    """The network as one function for exporters: both images in, the clamped fused image out."""

    def __init__(self, network: FusionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Fuse a pair whose sides are multiples of 8."""
        return self.network.fuse(visible, thermal).clamp(0, 1)


def example(height: int, width: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """A pair for tracing: values in [0, 1], not constant."""
    generator = torch.Generator().manual_seed(0)
    visible = torch.rand((1, 3, height, width), generator=generator)
    return visible.to(device), visible.mean(1, keepdim=True).to(device)


def padded(size: int) -> int:
    """A side inside the network: the next multiple of 8."""
    return -(-size // SIZE_MULTIPLE) * SIZE_MULTIPLE


class StaticEngine:
    """Keeps one built engine for each resolution; subclasses say how one is built."""

    name = ""
    precision = "fp32"
    device = "cpu"
    channels_last = False
    """Whether what is built takes images as they lie in memory, channels as the last axis."""

    def __init__(self, network: FusionNetwork) -> None:
        self._network = network.eval().requires_grad_(False)
        self._built: OrderedDict[tuple[int, int], Run] = OrderedDict()
        self._weights = ""

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair; see :class:`amg_fuse_ros.engine.Engine`.

        The first pair of a resolution waits until its engine is built or loaded.
        """
        height, width = thermal.shape
        vi = torch.from_numpy(np.ascontiguousarray(visible)).permute(2, 0, 1)[None]
        ir = torch.from_numpy(np.ascontiguousarray(thermal))[None, None]
        vi, ir = (reflect_to_multiple(x, SIZE_MULTIPLE) for x in (vi, ir))
        run = self.ready_for(*vi.shape[-2:])
        if self.channels_last:
            vi, ir = vi.permute(0, 2, 3, 1), ir.permute(0, 2, 3, 1)
        with torch.inference_mode():
            fused = run(vi.contiguous(), ir.contiguous())[0]
            if not self.channels_last:
                fused = fused.permute(1, 2, 0)
            result = fused[:height, :width].float().contiguous().cpu()
        image: FloatImage = result.numpy()
        return image

    def ready_for(self, height: int, width: int) -> Run:
        """What runs this resolution, loaded or built now if need be; sides are multiples of 8."""
        size = (height, width)
        if size not in self._built:
            # Exporters want plain tensors, and fuse() is in inference mode.
            with torch.inference_mode(False), torch.no_grad():
                self._built[size] = self.build(height, width)
            if len(self._built) > KEPT_RESOLUTIONS:
                self._built.popitem(last=False)
        self._built.move_to_end(size)
        return self._built[size]

    def build(self, height: int, width: int) -> Run:
        """Load or build what runs this resolution."""
        raise NotImplementedError

    def key(self, height: int, width: int, versions: Mapping[str, str]) -> Key:
        """What a build depends on; ``versions`` are those of the libraries in it."""
        self._weights = self._weights or fingerprint(self._network.state_dict())
        return {
            "engine": self.name,
            "weights": self._weights,
            "size": self._network.size.name,
            "resolution": f"{width}x{height}",
            "precision": self.precision,
            "amg_fuse_ros": amg_fuse_ros.__version__,
            "torch": torch.__version__,
            **versions,
        }


def require(engine: str, extra: str, *modules: str) -> None:
    """Refuse where a module is not installed.

    Raises:
        EngineUnavailableError: With what to install.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineUnavailableError(
            f"engine {engine} needs {', '.join(missing)}: pip install 'amg_fuse_ros[{extra}]', "
            f"or pip install {' '.join(_PACKAGES.get(name, name) for name in missing)}"
        )


_PACKAGES = {"torch_tensorrt": "torch-tensorrt tensorrt"}


def installed(package: str) -> str:
    """A package's version; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def check_precision(engine: str, precision: str, device: str, allowed: tuple[str, ...]) -> str:
    """The precision that ``auto`` or a name means.

    Raises:
        ValueError: If there is no such precision.
        EngineUnavailableError: If this engine does not offer it on that device.
    """
    known = ("auto", "fp32", "bf16", "fp16", "fp64")
    if precision not in known:
        raise ValueError(f"expected a precision among {known}, found {precision!r}")
    if precision == "auto":
        return allowed[0]
    if precision not in allowed:
        raise EngineUnavailableError(
            f"engine {engine} runs in {' or '.join(allowed)} on {device}, not in {precision}"
        )
    return precision


def check_cpu(engine: str, device: str) -> None:
    """Refuse a device that is not the CPU.

    Raises:
        ValueError: If there is no such device name.
        EngineUnavailableError: If it is a CUDA device.
    """
    if check_device(device) == "cuda":
        raise EngineUnavailableError(f"engine {engine} runs on the CPU, not on {device!r}")


def check_device(device: str) -> str:
    """``"cpu"`` or ``"cuda"`` for a device's name, or ``"auto"``; it need not be there.

    Raises:
        ValueError: If there is no such device name.
    """
    if device == "auto":
        return device
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"expected device auto, cpu, cuda or cuda:N, found {device!r}")
    return kind
