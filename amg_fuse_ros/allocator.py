"""Let the C allocator keep big blocks, so that not each frame asks the kernel for zeroed pages.

A frame, and a training step, allocates and frees hundreds of blocks of 1 to 100 MB. glibc hands
each back to the kernel, and gets it back page by page, zeroed: a quarter of the time of a training
step on the CPU, a third of what the node adds to the network.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_TOP_PAD = 256 << 20
_NEVER = -1
"""Becomes the largest number there is; 2^31 - 1 would trim whenever 2 GB lie free."""
_LARGE = 2**31 - 1


def keep_big_blocks() -> bool:
    """Take all memory from the heap and never trim it, for this process.

    Call it before the first large allocation.

    Returns:
        Whether the C library knows how; only glibc does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # Older versions refuse a threshold of more than 32 MB.
    on_heap = mallopt(_M_MMAP_THRESHOLD, _LARGE) == 1 or mallopt(_M_MMAP_MAX, 0) == 1
    kept = [mallopt(_M_TRIM_THRESHOLD, _NEVER) == 1, mallopt(_M_TOP_PAD, _TOP_PAD) == 1]
    return on_heap and all(kept)
