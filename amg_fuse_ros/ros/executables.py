"""Entry points that import next to nothing, so that Ctrl-C is heeded from the first moment."""

from typing import Any

from amg_fuse_ros.allocator import keep_big_blocks
from amg_fuse_ros.ros.process import run_node


def fusion_node(args: list[str] | None = None) -> None:
    """Run the fusion node until SIGINT or SIGTERM."""

    def find_node() -> Any:
        keep_big_blocks()
        from amg_fuse_ros.ros.fusion_node import FusionNode

        return FusionNode

    run_node(find_node, args)


if __name__ == "__main__":
    fusion_node()
