"""The formulation that a CPU runs: the readable network's function, derived from its weights.

Import :mod:`amg_fuse_ros.network.inference.fast_network` only where :func:`is_available` says yes:
the kernels are compiled by numba.
"""

import importlib.util


def is_available() -> bool:
    """Whether the kernels can be compiled here: numba is installed."""
    return importlib.util.find_spec("numba") is not None


__all__ = ["is_available"]
