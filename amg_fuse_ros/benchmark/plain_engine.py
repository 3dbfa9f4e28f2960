"""The plain formulation as an engine, for comparison only."""

import numpy as np
import torch

from amg_fuse_ros.engine.base import FloatImage
from amg_fuse_ros.network import FusionNetwork
from amg_fuse_ros.network.plain import use_plain_formulation


class PlainEngine:
    """Runs :mod:`amg_fuse_ros.network.plain` in float32 and torch's default layout."""

    name = "plain"
    precision = "fp32"

    def __init__(self, network: FusionNetwork, device: str = "auto") -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = device
        use_plain_formulation(network)
        self._network = network.eval().to(device, torch.float32)

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """Fuse one pair; see :class:`amg_fuse_ros.engine.Engine`."""
        with torch.no_grad():
            vi = torch.from_numpy(np.ascontiguousarray(visible)).to(self.device)
            ir = torch.from_numpy(np.ascontiguousarray(thermal)).to(self.device)
            vi = vi.permute(2, 0, 1)[None].contiguous()
            fused = self._network.fuse(vi, ir[None, None])[0]
            result: FloatImage = fused.clamp(0, 1).permute(1, 2, 0).contiguous().cpu().numpy()
        return result
