"""How much memory a process holds, as the kernel counts it."""

import resource
import sys
from pathlib import Path


def resident_mb(pid: int | str = "self") -> float:
    """Megabytes (10^6 bytes) in use now, by this process or another; 0 where the kernel is mute."""
    return (status_bytes("VmRSS", pid) or 0) / 1e6


def peak_mb() -> float:
    """Most megabytes (10^6 bytes) that were in use at any time."""
    told = status_bytes("VmHWM")  # not inherited from the process that started this, as ru_maxrss
    if told is not None:
        return told / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def status_bytes(field: str, pid: int | str = "self") -> int | None:
    """A field of a process's status in bytes, such as ``VmRSS``; ``None`` where there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = (int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
    return next(found, None)
