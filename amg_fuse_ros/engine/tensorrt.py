"""TensorRT through torch-tensorrt 2.8 to 2.14, built ahead of time. Untried on hardware.

It was written against the documented interface: a test holds the calls to the signatures of
torch-tensorrt 2.8.0 and 2.14.0, and the partition to the exported graph. Therefore nothing that
it builds is used before it has been compared with eager.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amg_fuse_ros.engine.base import EngineError, EngineUnavailableError
from amg_fuse_ros.engine.cache import Key, find, find_or_build
from amg_fuse_ros.engine.fidelity import FLOOR_DB, psnr_db
from amg_fuse_ros.engine.partition import SMALLEST_SEGMENT, plan, torch_targets
from amg_fuse_ros.engine.progress import LOGGER, told
from amg_fuse_ros.engine.static import (
    FusedImage,
    Run,
    StaticEngine,
    check_device,
    check_precision,
    example,
    installed,
    require,
)
from amg_fuse_ros.network import FusionNetwork

FILE = "network.ep"

SECONDS_PER_CONVOLUTION = (0.5, 4.0)
"""For the estimate: a desktop GPU, and an embedded one. Guesses until somebody measures."""


class TensorRTEngine(StaticEngine):
    """Runs an engine that ``amg-fuse build-engine --engine tensorrt`` has built."""

    name = "tensorrt"

    def __init__(
        self, network: FusionNetwork, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Check that everything is there.

        Raises:
            ValueError: If there is no such device name or precision.
            EngineUnavailableError: If something is missing; the message says what to install.
        """
        kind = check_device(device)
        self.precision = check_precision("tensorrt", precision, "cuda", ("fp16", "fp32"))
        if kind == "cpu" or not torch.cuda.is_available():
            raise EngineUnavailableError("engine tensorrt needs an NVIDIA GPU and a CUDA torch")
        require("tensorrt", "tensorrt", "torch_tensorrt", "tensorrt")
        self.device = "cuda" if device == "auto" else device
        super().__init__(network.to(self.device, torch.float32))

    def build(self, height: int, width: int) -> Run:
        """Load what was built for this resolution; build it, with progress, if nothing was.

        Raises:
            EngineError: If the build's picture differs from eager's.
        """
        import torch_tensorrt

        key = self._key(height, width)
        if find(key) is None:
            LOGGER.warning(
                "no TensorRT engine was built for %dx%d: it is built now; do it ahead of time "
                "with: amg-fuse build-engine --engine tensorrt --resolution %dx%d",
                *(width, height, width, height),
            )
        folder = find_or_build(key, lambda entry: self._write(entry, height, width))
        with told(f"loading the TensorRT engine for {width}x{height}"):
            module = torch_tensorrt.load(str(folder / FILE)).module()
        return self._with_graphs(module, height, width)

    def _key(self, height: int, width: int) -> Key:
        properties = torch.cuda.get_device_properties(self.device)
        versions = {
            "device": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "tensorrt": installed("tensorrt"),
            "torch-tensorrt": installed("torch-tensorrt"),
        }
        return self.key(height, width, versions)

    def _write(self, folder: Path, height: int, width: int) -> None:
        import inspect

        import torch_tensorrt

        module = FusedImage(self._network).eval()
        pair = example(height, width, self.device)
        with torch.inference_mode():
            expected = module(*pair)
        with torch.no_grad():
            exported = torch.export.export(module, pair)
        LOGGER.info("TensorRT: %s", plan(exported.graph).summary())
        LOGGER.info("TensorRT: %s", estimate(self._network, self.precision))
        parameters = inspect.signature(torch_tensorrt.dynamo.compile).parameters
        options = compile_options(parameters, self.device, self.precision)
        with told(f"building TensorRT engines for {width}x{height}"):
            compiled = torch_tensorrt.dynamo.compile(exported, list(pair), **options)
        check(compiled(*pair), expected, self.precision)
        saving = inspect.signature(torch_tensorrt.save).parameters
        torch_tensorrt.save(
            compiled, str(folder / FILE), **save_options(saving), arg_inputs=list(pair)
        )

    def _with_graphs(self, module: Any, height: int, width: int) -> Run:
        """Replay CUDA graphs where they give the same picture; where not, run without."""
        import torch_tensorrt

        pair = example(height, width, self.device)
        with torch.inference_mode():
            expected = FusedImage(self._network)(*pair)
            check(module(*pair), expected, self.precision)
        run, graphs = module, torch_tensorrt.runtime.enable_cudagraphs(module)
        try:
            run = graphs.__enter__()
            with torch.inference_mode():
                for _ in range(3):
                    check(run(*pair), expected, self.precision)
        except Exception as error:  # partitioned graphs have given zeros before
            LOGGER.warning("TensorRT runs without CUDA graphs: %s", error)
            graphs.__exit__(None, None, None)
            run = module

        def fuse(visible: Tensor, thermal: Tensor) -> Tensor:
            fused = run(visible.to(self.device), thermal.to(self.device))
            return _tensor(fused).float().clone()

        return fuse


def compile_options(parameters: Collection[str], device: str, precision: str) -> dict[str, Any]:
    """What to tell ``torch_tensorrt.dynamo.compile``, by the names that its version knows.

    2.8 lets TensorRT choose among precisions for each layer; later versions want the types in the
    graph and offer to put them there (autocast), which must leave the mask's quotient alone.

    Args:
        parameters: Names of its parameters.
        device: ``"cuda"`` or ``"cuda:N"``.
        precision: ``"fp16"`` or ``"fp32"``.

    Raises:
        EngineUnavailableError: If that version offers no way to fp16.
    """
    options: dict[str, Any] = {
        "device": torch.device(device),
        "torch_executed_ops": torch_targets(),
        "min_block_size": SMALLEST_SEGMENT,
        "require_full_compilation": False,
        "disable_tf32": True,
        "cache_built_engines": False,  # whole builds are kept, by a key of the project's own
        "reuse_cached_engines": False,
    }
    if precision == "fp16":
        if "enable_autocast" in parameters:
            options |= {
                "enable_autocast": True,
                "autocast_low_precision_type": torch.float16,
                "autocast_excluded_ops": _IN_FULL_PRECISION,
            }
        elif "enabled_precisions" in parameters:
            options["enabled_precisions"] = {torch.float16, torch.float32}
        else:
            raise EngineUnavailableError("this torch-tensorrt knows no fp16; take 2.8 to 2.14")
    return options


_IN_FULL_PRECISION = {
    torch.ops.aten.div.Tensor,
    torch.ops.aten.exp.default,
    torch.ops.aten.sum.dim_IntList,
    torch.ops.aten.linalg_vector_norm.default,
    torch.ops.aten.layer_norm.default,
    torch.ops.aten.native_layer_norm.default,
    torch.ops.aten.softmax.int,
    torch.ops.aten._softmax.default,
}
"""Quotients, sums over many values and exponentials: 1e-8 is 0 in fp16."""


def save_options(parameters: Collection[str]) -> dict[str, Any]:
    """What to tell ``torch_tensorrt.save`` besides module, path and inputs."""
    wanted = {"output_format": "exported_program", "retrace": False}
    return {name: value for name, value in wanted.items() if name in parameters}


def check(found: Any, expected: Tensor, precision: str) -> None:
    """Refuse a picture that is not eager's.

    Raises:
        EngineError: With how far it is off.
    """
    image, reference = (_tensor(x).float().cpu().numpy() for x in (found, expected))
    psnr = psnr_db(image, reference)
    if psnr < FLOOR_DB[precision]:
        raise EngineError(
            f"the TensorRT engine gives another picture than eager ({psnr:.1f} dB, "
            f"{FLOOR_DB[precision]:g} dB are needed in {precision}): it is not used"
        )


def estimate(network: FusionNetwork, precision: str) -> str:
    """How large a build will be and how long it takes, roughly, for people."""
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in network.modules())
    weights = sum(p.numel() for p in network.parameters()) * (2 if precision == "fp16" else 4)
    quick, slow = (convolutions * seconds / 60 for seconds in SECONDS_PER_CONVOLUTION)
    return (
        f"about {1.5 * weights / 1e6:.0f} MB on disk, {quick:.0f} minutes on a desktop GPU, "
        f"{slow:.0f} on an embedded one (a guess: nobody has measured it yet)"
    )


def _tensor(result: Any) -> Tensor:
    """The image, which some versions wrap in a tuple."""
    found: Tensor = result[0] if isinstance(result, tuple | list) else result
    return found
