"""What machine this is, as far as speed depends on it."""

import os

import torch

import amg_fuse_ros
from amg_fuse_ros.engine.processor import processor
from amg_fuse_ros.engine.static import installed

PACKAGES = ("numba", "openvino", "onnxruntime", "onnxruntime-gpu", "torch-tensorrt", "tensorrt")


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
