"""What a number was measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import amg_fuse_ros

PACKAGES = ("numpy", "numba", "openvino", "onnxruntime", "torch-tensorrt", "tensorrt")


def environment(threads: int) -> dict[str, Any]:
    """Machine and versions, JSON-ready."""
    return {
        "machine": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "amg_fuse_ros": amg_fuse_ros.__version__,
        "torch": torch.__version__,
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
