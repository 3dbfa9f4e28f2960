"""Entry points that import next to nothing, so that Ctrl-C is heeded from the first moment."""

import sys
from functools import partial
from typing import Any

from amg_fuse_ros.allocator import keep_big_blocks
from amg_fuse_ros.ros.process import run_node, run_nodes


def fusion_node(args: list[str] | None = None) -> None:
    """Run the fusion node until SIGINT or SIGTERM."""

    def find_node() -> Any:
        keep_big_blocks()
        from amg_fuse_ros.ros.fusion_node import FusionNode

        return FusionNode

    run_node(find_node, args)


def fusion_container(args: list[str] | None = None) -> None:
    """Run a fusion node for each camera pair of a vehicle in one process, until asked to end.

    The nodes share the network's weights. Arguments before ``--ros-args`` are their namespaces.
    """
    given = sys.argv[1:] if args is None else args
    own = given[: given.index("--ros-args")] if "--ros-args" in given else given
    if not own or any(word.startswith("-") for word in own):
        sys.stderr.write("usage: fusion_container NAMESPACE [NAMESPACE ...] [--ros-args ...]\n")
        sys.exit(2)
    if len(set(own)) < len(own):
        sys.stderr.write(f"each namespace can be given once, found {' '.join(own)}\n")
        sys.exit(2)

    def find_nodes() -> Any:
        keep_big_blocks()
        from amg_fuse_ros.ros.fusion_node import FusionNode

        return [partial(FusionNode, namespace=namespace) for namespace in own]

    run_nodes(find_nodes, args)


def detector_node(args: list[str] | None = None) -> None:
    """Run the detector node until SIGINT or SIGTERM."""

    def find_node() -> Any:
        from amg_fuse_ros.ros.detector_node import DetectorNode

        return DetectorNode

    run_node(find_node, args)


def fusion_detector(args: list[str] | None = None) -> None:
    """Run a fusion node and a detector node in one process, until asked to end.

    The detector gets the fused images as they are made, without a copy and without DDS.
    """

    def find_nodes() -> Any:
        keep_big_blocks()
        from amg_fuse_ros.ros.detector_node import DetectorNode
        from amg_fuse_ros.ros.fusion_node import FusionNode

        detectors: list[DetectorNode] = []

        def make_detector() -> DetectorNode:
            detectors.append(DetectorNode(composed=True))
            return detectors[0]

        return [make_detector, lambda: FusionNode(listener=detectors[0])]

    run_nodes(find_nodes, args)


if __name__ == "__main__":
    fusion_node()
