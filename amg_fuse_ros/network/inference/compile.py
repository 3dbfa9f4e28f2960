"""Compiles the kernels, so that no first frame has to wait: ``python -m ...inference.compile``.

numba keeps what it compiled beside the modules, or below ``NUMBA_CACHE_DIR``.
"""

import sys
from pathlib import Path
from time import perf_counter

import torch

from amg_fuse_ros.network.inference import is_available


def are_kernels_compiled() -> bool:
    """Whether a process before this one has compiled the kernels on this machine."""
    from amg_fuse_ros.network.inference.feed_forward import feed_forward_band

    return any(
        Path(str(feed_forward_band.stats.cache_path)).glob("feed_forward.feed_forward_band*.nbc")
    )


def compile_kernels() -> float:
    """Compile what is not compiled yet, in float32; about a minute at the first time.

    Returns:
        Seconds that it took; 0 where numba is not installed.
    """
    if not is_available():
        return 0.0
    from amg_fuse_ros.network import AMGFuse
    from amg_fuse_ros.network.inference.fast_network import FastNetwork
    from amg_fuse_ros.network.sorting import stable_sort

    began = perf_counter()
    with torch.inference_mode():
        FastNetwork(AMGFuse.from_size("tiny").eval()).fuse(
            torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
        )
        stable_sort(torch.zeros(1, 8))
    return perf_counter() - began


if __name__ == "__main__":
    sys.stderr.write("compiling the network's kernels (once, about a minute) ...\n")
    sys.stderr.write(f"kernels ready after {compile_kernels():.0f} s\n")
