"""ONNX Runtime: CPU, or CUDA and TensorRT through its providers (these two are untried)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amg_fuse_ros.engine.base import EngineUnavailableError
from amg_fuse_ros.engine.cache import find_or_build
from amg_fuse_ros.engine.onnx_file import INPUTS, write_onnx
from amg_fuse_ros.engine.progress import told
from amg_fuse_ros.engine.static import (
    Run,
    StaticEngine,
    check_device,
    check_precision,
    installed,
    require,
)
from amg_fuse_ros.network import FusionNetwork

FILE = "network.onnx"


class OnnxEngine(StaticEngine):
    """Runs an exported file, one for each resolution; the files are kept on disk."""

    name = "onnx"

    def __init__(
        self, network: FusionNetwork, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Check that everything is there; files are exported when a resolution first comes.

        On the CPU and by the CUDA provider it runs in fp32, by the TensorRT provider in fp16.

        Raises:
            ValueError: If there is no such device name or precision.
            EngineUnavailableError: If something is missing; the message says what to install.
        """
        kind = check_device(device)
        require("onnx", "onnx", "onnxruntime", "onnx", "onnxscript")
        import onnxruntime

        offered = onnxruntime.get_available_providers()
        if kind == "auto":
            kind = "cuda" if "CUDAExecutionProvider" in offered else "cpu"
        precisions = ("fp32",) if kind == "cpu" else ("fp32", "fp16")
        self.precision = check_precision("onnx", precision, kind, precisions)
        self.device = kind if device in ("auto", kind) else device
        provider = {"fp32": "CUDAExecutionProvider", "fp16": "TensorrtExecutionProvider"}
        wanted = "CPUExecutionProvider" if kind == "cpu" else provider[self.precision]
        if wanted not in offered:
            raise EngineUnavailableError(
                f"engine onnx in {self.precision} on {self.device} needs ONNX Runtime's "
                f"{wanted}, found {', '.join(offered)}: pip install onnxruntime-gpu"
            )
        self._provider = wanted
        super().__init__(network.to("cpu", torch.float32))

    def build(self, height: int, width: int) -> Run:
        """Export if there is no file yet, and make ONNX Runtime's session."""
        import onnxruntime

        def export(folder: Path) -> None:
            write_onnx(self._network, folder / FILE, height, width)

        key = {**self.key(height, width, {}), "precision": "fp32", "onnx": installed("onnx")}
        path = find_or_build(key, export) / FILE
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        with told(f"loading {width}x{height} into ONNX Runtime"):
            session = onnxruntime.InferenceSession(
                str(path), options, providers=self._providers(path.parent)
            )

        def run(visible: Tensor, thermal: Tensor) -> Tensor:
            pair = zip(INPUTS, (visible.numpy(), thermal.numpy()), strict=True)
            return torch.from_numpy(session.run(None, dict(pair))[0])

        return run

    def _providers(self, folder: Path) -> list[tuple[str, Mapping[str, Any]]]:
        index = {} if self.device == "cpu" else {"device_id": torch.device(self.device).index or 0}
        if self._provider != "TensorrtExecutionProvider":
            return [(self._provider, index)]
        kept = {"trt_fp16_enable": True, "trt_engine_cache_enable": True}
        kept["trt_engine_cache_path"] = str(folder)  # type: ignore[assignment]
        return [(self._provider, {**index, **kept}), ("CUDAExecutionProvider", index)]
