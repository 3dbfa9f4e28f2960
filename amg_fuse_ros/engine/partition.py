"""Which nodes of the exported graph TensorRT takes, planned before anything is built.

TensorRT sorts at most 3840 values, and a row of N = H W is longer; a stable sort it has none. So
every sort, and the gathers and scatters by its indices, run in torch between TensorRT's segments.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.fx import Graph, Node

LONGEST_SORT = 3840
"""The most values that torch-tensorrt's converters sort, 2.8 to 2.14."""

IN_TORCH = ("amg_fuse.stable_sort.default", "aten.gather.default", "aten.scatter.src")
"""Names of the operations that torch runs."""

SMALLEST_SEGMENT = 5
"""TensorRT segments of fewer operations are left to torch, too: entering one costs more."""


@dataclass(frozen=True)
class Plan:
    """A graph in segments that run one after the other, in turns by torch and by TensorRT."""

    segment_of: Mapping[Node, int]
    """Even segments are torch's, odd ones TensorRT's; only operations, no inputs."""

    def in_torch(self) -> list[Node]:
        """What runs in torch."""
        return [node for node, segment in self.segment_of.items() if segment % 2 == 0]

    def in_tensorrt(self) -> list[Node]:
        """What runs in TensorRT."""
        return [node for node, segment in self.segment_of.items() if segment % 2 == 1]

    @property
    def engines(self) -> int:
        """TensorRT segments; each becomes an engine."""
        return len({s for s in self.segment_of.values() if s % 2 == 1})

    def summary(self) -> str:
        """The plan in a line for people."""
        torch_ops = Counter(str(node.target) for node in self.in_torch())
        left = ", ".join(f"{n} {name}" for name, n in torch_ops.most_common())
        return (
            f"{len(self.in_tensorrt())} operations in {self.engines} TensorRT engines, "
            f"{sum(torch_ops.values())} in torch ({left})"
        )


def plan(graph: Graph) -> Plan:
    """Lay out an exported graph.

    A node comes as early as what it needs: one segment after the latest of its inputs on the
    other side, in the same segment as those on its own side.
    """
    segment_of: dict[Node, int] = {}
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        inputs = [segment_of[n] for n in node.all_input_nodes if n in segment_of]
        latest = max(inputs, default=0)
        if runs_in_torch(node):
            segment_of[node] = latest + latest % 2
        else:
            segment_of[node] = latest + 1 - latest % 2
    return Plan(segment_of)


def runs_in_torch(node: Node) -> bool:
    """Whether torch runs it: a sort, what follows its indices, and the parts of its result."""
    if str(node.target) in IN_TORCH:
        return True
    # Reading one of a sort's two results is no operation of its own.
    return getattr(node.target, "__name__", "") == "getitem" and any(
        runs_in_torch(source) for source in node.all_input_nodes
    )


def torch_targets() -> set[torch._ops.OpOverload]:
    """The operations that torch runs, as torch-tensorrt wants them named."""
    return {
        torch.ops.amg_fuse.stable_sort.default,
        torch.ops.aten.gather.default,
        torch.ops.aten.scatter.src,
    }


def longest_sort(node: Node) -> int:
    """How many values a sort node sorts at once; 0 for any other node."""
    name = str(node.target)
    if not any(word in name for word in ("sort", "topk")):
        return 0
    value = node.all_input_nodes[0].meta["val"]
    return int(value.shape[-1])
