"""The processor's name and abilities, told without loading anything large."""

import platform
from pathlib import Path


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    return _first("model name") or platform.processor() or platform.machine()


def multiplies_bf16() -> bool:
    """Whether the processor has instructions for products in bfloat16, as the kernel tells."""
    flags = (_first("flags") or _first("Features")).split()
    return any(flag in flags for flag in _BF16)


_BF16 = ("avx512_bf16", "amx_bf16", "bf16")


def _first(name: str) -> str:
    """What ``/proc/cpuinfo`` says under a name, of the first core; empty if nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    values = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in values if key.strip() == name), "")
