"""torch.compile with inductor: the CPU by OpenMP code, CUDA by Triton and CUDA graphs."""

import os
import shutil
from typing import Any

import torch
from torch import Tensor

from amg_fuse_ros.engine.base import EngineUnavailableError
from amg_fuse_ros.engine.cache import cache_folder
from amg_fuse_ros.engine.progress import told
from amg_fuse_ros.engine.static import (
    FusedImage,
    Run,
    StaticEngine,
    check_device,
    check_precision,
    example,
)
from amg_fuse_ros.network import FusionNetwork

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class CompileEngine(StaticEngine):
    """Compiles the network for each resolution; on the CPU that takes a minute or more."""

    name = "compile"

    def __init__(
        self, network: FusionNetwork, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Move the network to the device; it is compiled when a resolution first comes.

        Raises:
            ValueError: If there is no such device name or precision.
            EngineUnavailableError: If the device or a compiler is not there.
        """
        kind = check_device(device)
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        if kind == "cuda" and not torch.cuda.is_available():
            raise EngineUnavailableError(f"expected the device {device!r}, found no CUDA device")
        if kind == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
            raise EngineUnavailableError("engine compile needs a C++ compiler: apt install g++")
        precisions = ("fp32", "bf16") if kind == "cpu" else ("fp32", "bf16", "fp16")
        self.precision = check_precision("compile", precision, kind, precisions)
        self.device = kind if device == "auto" else device
        self._where = torch.device(self.device)
        super().__init__(network.to(self._where, torch.float32))
        self._network.to(memory_format=torch.channels_last)

    def build(self, height: int, width: int) -> Run:
        """Compile, or load what inductor has kept from an earlier start."""
        module = FusedImage(self._network).eval()

        def fuse(visible: Tensor, thermal: Tensor) -> Tensor:
            if self.precision == "fp32":
                return module(visible, thermal)
            with torch.autocast(self._where.type, _DTYPES[self.precision]):
                return module(visible, thermal).float()

        on_gpu = self._where.type == "cuda"
        options: Any = {"triton.cudagraphs": True} if on_gpu else {"freezing": True}
        # Read at the first compilation of a process; inductor's own default is below /tmp.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
        compiled = torch.compile(fuse, fullgraph=True, dynamic=False, options=options)
        # Buffers that stay where they are: a CUDA graph reads and writes fixed addresses, and the
        # copies from pinned memory do not wait.
        pair = example(height, width)
        inputs = [x.to(self._where) for x in pair]
        pinned = [torch.empty_like(x, pin_memory=on_gpu) for x in pair]
        result = torch.empty((1, 3, height, width), pin_memory=on_gpu)

        def run(visible: Tensor, thermal: Tensor) -> Tensor:
            if not on_gpu:
                return compiled(visible, thermal)
            for value, staged, there in zip((visible, thermal), pinned, inputs, strict=True):
                staged.copy_(value)
                there.copy_(staged, non_blocking=True)
            result.copy_(compiled(*inputs), non_blocking=True)
            torch.cuda.current_stream(self._where).synchronize()
            return result

        what = f"compiling for {width}x{height} (a minute or two, later starts are quicker)"
        # In inference mode, as later: compiled code is tied to it. CUDA graphs are recorded by
        # the second run.
        with told(what), torch.inference_mode():
            for _ in range(3 if on_gpu else 1):
                run(*(x.clone() for x in pair))
        return run
