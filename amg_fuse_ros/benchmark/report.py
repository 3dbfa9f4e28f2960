"""Results for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from amg_fuse_ros.resolution import Resolution

LINEAR_WITHIN = 0.2


def report(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines that tell what :func:`compare` found, with :func:`throughput`'s part if it is there."""
    about = result["environment"]
    gpu = f", {about['gpu']}" if about["gpu"] else ""
    yield f"{about['machine']}, {about['threads']} threads{gpu}, torch {about['torch']}"
    yield f"size {result['case']['size']}, weights: {result['case']['weights']}"
    yield ""
    yield (
        "engine      precision  resolution   median s  (least .. most)   x plain   PSNR dB"
        "   around ms   start s   peak MB  growth MB"
    )
    for row in result["results"]:
        yield (
            f"{row['engine']:<11} {row['precision']:<10} {row['resolution']:<11}"
            f"{row['seconds_median']:10.4f}  ({row['seconds_least']:.4f} .. "
            f"{row['seconds_most']:.4f})  {_number(row['ratio_to_plain'], 7, 2)}"
            f"  {_number(row['psnr_db'], 8, 1)}  {row['around_engine_ms']:10.2f}"
            f"{row['start_s']:10.1f}{row['peak_mb']:10.0f}{row['growth_mb']:11.1f}"
        )
    yield from _scaling(result["results"])
    if result.get("throughput"):
        yield ""
        yield "engine      precision  resolution   processes x threads   pairs/s"
    for row in result.get("throughput", ()):
        yield (
            f"{row['engine']:<11} {row['precision']:<10} {row['resolution']:<11}"
            f"{row['processes']:>12} x {row['threads_each']:<7}{row['pairs_per_second']:9.3f}"
        )


def cost_per_pixel(rows: list[Mapping[str, Any]]) -> dict[str, float]:
    """Microseconds per pixel by resolution, of one engine's rows."""
    return {
        row["resolution"]: 1e6 * row["seconds_median"] / (r.width * r.height)
        for row in rows
        for r in [Resolution.parse(row["resolution"])]
    }


def _scaling(results: list[Mapping[str, Any]]) -> Iterator[str]:
    engines = dict.fromkeys((row["engine"], row["precision"]) for row in results)
    for engine, precision in engines:
        rows = [r for r in results if (r["engine"], r["precision"]) == (engine, precision)]
        if len(rows) < 2:
            continue
        costs = cost_per_pixel(rows)
        middle = sorted(costs.values())[len(costs) // 2]
        off = max(abs(cost / middle - 1) for cost in costs.values())
        listed = ", ".join(f"{name} {cost:.2f}" for name, cost in costs.items())
        yield ""
        yield (
            f"{engine} {precision}, microseconds per pixel: {listed}; "
            + ("linear" if off <= LINEAR_WITHIN else "not linear")
            + f" in pixels within {100 * off:.0f} %"
        )


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{value:{width}.{digits}f}" if value is not None else " " * (width - 1) + "-"
