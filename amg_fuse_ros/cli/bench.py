"""``amg-fuse bench``: how fast the engines are here, against the plain formulation."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from amg_fuse_ros.cli.options import Device, Weights
from amg_fuse_ros.cli.terminal import say

SCALING = "160x128,224x224,320x256,480x352,640x480"


def bench(
    engine: Annotated[
        str, typer.Option(help="all, or a list as eager,eager:bf16; fp32 where none is said.")
    ] = "all",
    resolution: Annotated[str, typer.Option(help="WxH of the RGB frame, or a list.")] = "640x480",
    size: Annotated[str, typer.Option(help="nano, tiny or full.")] = "tiny",
    weights: Weights = "",
    device: Device = "auto",
    against: Annotated[str, typer.Option(help="plain, the published formulation, or none.")] = (
        "plain"
    ),
    frames: Annotated[int, typer.Option(min=1, help="Timed frames of each.")] = 5,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: torch's choice.")] = 0,
    fidelity: Annotated[
        bool, typer.Option(help="Compare the fused image with that of float64.")
    ] = True,
    scaling: Annotated[bool, typer.Option("--scaling", help=f"How cost grows: {SCALING}.")] = False,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Also pairs per second in one and two processes.")
    ] = False,
    compare_with: Annotated[
        Path | None,
        typer.Option("--compare", help="JSON of an earlier run; fails where that was better."),
    ] = None,
    pipeline: Annotated[
        bool,
        typer.Option("--pipeline", help="Time the ROS node without the network, nothing else."),
    ] = False,
    node: Annotated[
        bool,
        typer.Option("--node", help="Time the ROS node with the network, of --size; nothing else."),
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Of --pipeline and --node.")] = 8.0,
    rate: Annotated[float, typer.Option(min=1, help="Of the cameras, Hz, likewise.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time engines on drawn pairs, in turn, against the plain published formulation."""
    if pipeline or node:
        _time_node(resolution, rate, seconds, size if node else "", weights, as_json)
        return
    from amg_fuse_ros import benchmark
    from amg_fuse_ros.resolution import Resolution

    if against not in ("plain", "none"):
        raise ValueError(f"against: expected plain or none, found {against!r}")
    texts = (SCALING if scaling else resolution).split(",")
    case = benchmark.Case(tuple(map(Resolution.parse, texts)), weights, size, device, threads)
    candidates = benchmark.parse_candidates(engine, device)

    def tell(line: str) -> None:
        say("bold", "bench:", line)

    result = benchmark.compare(
        case,
        candidates,
        frames=frames,
        against_plain=against == "plain",
        fidelity=fidelity,
        progress=tell,
    )
    if throughput:
        result["throughput"] = benchmark.throughput(case, candidates, progress=tell)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
    else:
        for line in benchmark.report(result):
            typer.echo(line)
    if compare_with is not None:
        worse = list(benchmark.regressions(result, json.loads(compare_with.read_text())))
        for line in worse:
            say("bold red", "slower:", line)
        if worse:
            raise typer.Exit(1)
        say("green", "compared:", f"nothing is worse than in {compare_with}")


def _time_node(
    resolution: str, rate: float, seconds: float, size: str, weights: str, as_json: bool
) -> None:
    # A process of its own: it is the node, and only the ROS room may import rclpy.
    module = "amg_fuse_ros.ros.pipeline_benchmark"
    command = [sys.executable, "-m", module, "--size", resolution, "--rate", str(rate)]
    command += ["--pairs", str(round(rate * seconds)), "--network", size, "--weights", weights]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        reason = reason.removeprefix("RuntimeError: ")
        raise RuntimeError(f"the node could not be timed: {reason}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    since, name = ("stamp", "latency") if size else ("arrival", "overhead")
    typer.echo(
        f"{result['resolution']} at {result['rate_hz']:g} Hz, {result['fused']} pairs, "
        f"{result['dropped']} dropped: from the later message's {since} to publication "
        f"{result[f'{name}_ms_p50']:.1f} ms (p50), {result[f'{name}_ms_p95']:.1f} ms (p95)"
    )
    if size:
        typer.echo(f"network: {result['network']}")
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in result["stages"].items())
    typer.echo(f"of it, ms (p50): {stages}")
