"""What a number was measured on."""

import os
import platform
from typing import Any

import torch

import amg_fuse_ros
from amg_fuse_ros.engine.machine import PACKAGES
from amg_fuse_ros.engine.processor import processor
from amg_fuse_ros.engine.static import installed


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
        **{name: found for name in ("numpy", *PACKAGES) if (found := installed(name))},
    }
