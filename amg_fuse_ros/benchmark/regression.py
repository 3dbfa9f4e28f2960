"""Has it become slower than it was? Ratios to the plain formulation, against kept ones."""

from collections.abc import Iterator, Mapping
from typing import Any

TOLERANCE = 0.2
"""A ratio may be lower by this fraction: what a busy neighbour does to one of two processes."""

LOST_DB = 2.0
"""And fidelity by this much."""


def regressions(
    found: Mapping[str, Any], baseline: Mapping[str, Any], tolerance: float = TOLERANCE
) -> Iterator[str]:
    """What got worse, in words; nothing if all is well.

    Args:
        found: A result of :func:`amg_fuse_ros.benchmark.compare`.
        baseline: An earlier one; its engines and resolutions that ``found`` lacks are left out.
        tolerance: The fraction by which a ratio may be lower.

    Raises:
        ValueError: If the two have no measurement in common, or are of different networks.
    """
    sizes = [result["case"]["size"] for result in (found, baseline)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"expected a baseline of size {sizes[0]!r}, found one of {sizes[1]!r}")
    now = {_key(row): row for row in found["results"]}
    common = [row for row in baseline["results"] if _key(row) in now and row["engine"] != "plain"]
    if not common:
        raise ValueError(
            f"the baseline has {sorted(_key(r) for r in baseline['results'])} and nothing of "
            f"{sorted(now)}"
        )
    for was in common:
        row, name = now[_key(was)], " ".join(_key(was))
        ratios = row["ratio_to_plain"], was["ratio_to_plain"]
        if None not in ratios and ratios[0] < (1 - tolerance) * ratios[1]:
            yield f"{name}: {ratios[0]:.2f} times as fast as plain, it was {ratios[1]:.2f}"
        fidelities = row["psnr_db"], was["psnr_db"]
        if None not in fidelities and fidelities[0] < fidelities[1] - LOST_DB:
            yield f"{name}: {fidelities[0]:.1f} dB of fidelity, it was {fidelities[1]:.1f} dB"


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["engine"], row["precision"], row["resolution"]
