"""How much memory a process holds, as the kernel counts it."""

import resource
import sys
from pathlib import Path


def resident_mb(pid: int | str = "self") -> float:
    """Megabytes (10^6 bytes) in use now, by this process or another; 0 where the kernel is mute."""
    return _status("VmRSS", pid)


def peak_mb() -> float:
    """Most megabytes (10^6 bytes) that were in use at any time."""
    told = _status("VmHWM")  # unlike ru_maxrss, not inherited from the process that started this
    if told:
        return told
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _status(key: str, pid: int | str = "self") -> float:
    path = Path(f"/proc/{pid}/status")
    if not path.is_file():
        return 0.0
    for line in path.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) * 1024 / 1e6
    return 0.0
