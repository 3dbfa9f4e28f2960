"""What machine this is, as far as speed depends on it."""

import os
import platform
from pathlib import Path

import torch

import amg_fuse_ros
from amg_fuse_ros.engine.static import installed

PACKAGES = ("numba", "openvino", "onnxruntime", "onnxruntime-gpu", "torch-tensorrt", "tensorrt")


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine(device: str) -> dict[str, str]:
    """Processor or GPU, and the versions of what engines are made of."""
    about = {"processor": processor(), "cores": str(os.cpu_count())}
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        about |= {"gpu": properties.name, "capability": f"{properties.major}.{properties.minor}"}
    versions = {name: installed(name) for name in PACKAGES}
    return {
        **about,
        "torch": torch.__version__,
        "amg_fuse_ros": amg_fuse_ros.__version__,
        **versions,
    }
