"""What can be known of the TensorRT engine without TensorRT: its calls, its partition, its key."""

import inspect
import json
from pathlib import Path

import pytest
import torch
from small_network import SMALL, small_network

from amg_fuse_ros.engine import UNTRIED, EngineError
from amg_fuse_ros.engine.partition import LONGEST_SORT, longest_sort, plan, torch_targets
from amg_fuse_ros.engine.static import FusedImage, example
from amg_fuse_ros.engine.tensorrt import check, compile_options, estimate, save_options

SIGNATURES = json.loads((Path(__file__).parent / "torch_tensorrt_signatures.json").read_text())
BLOCKS = sum(SMALL.blocks[1:]) + sum(SMALL.blocks[:3]) + SMALL.refinement_blocks


@pytest.fixture(scope="module")
def graph():
    with torch.no_grad():
        return torch.export.export(FusedImage(small_network()), example(64, 72)).graph


@pytest.fixture(scope="module")
def partition(graph):
    return plan(graph)


def names(version, function):
    signature = SIGNATURES[version][function]
    return signature["positional"] + signature["keyword"]


def test_the_oldest_and_the_newest_version_are_held_to():
    assert list(SIGNATURES) == ["2.14.0", "2.8.0"]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("version", SIGNATURES)
def test_every_option_of_the_build_exists_in_every_version(version, precision):
    known = names(version, "torch_tensorrt.dynamo.compile")
    assert known[:2] == ["exported_program", "inputs"]  # what is given by position
    assert set(compile_options(known, "cuda", precision)) <= set(known)


@pytest.mark.parametrize("version", SIGNATURES)
def test_fp16_is_asked_for_in_the_way_of_each_version(version):
    known = names(version, "torch_tensorrt.dynamo.compile")
    options = compile_options(known, "cuda:0", "fp16")
    by_layer = torch.float16 in options.get("enabled_precisions", ())
    by_graph = options.get("autocast_low_precision_type") == torch.float16
    assert by_layer != by_graph
    if by_graph:  # 1e-8 is 0 in fp16: the mask's quotient must stay in fp32
        assert torch.ops.aten.div.Tensor in options["autocast_excluded_ops"]


@pytest.mark.parametrize("version", SIGNATURES)
def test_saving_loading_and_cuda_graphs_are_called_as_every_version_has_them(version):
    saving = names(version, "torch_tensorrt.save")
    assert saving[:2] == ["module", "file_path"]
    assert {*save_options(saving), "arg_inputs"} <= set(saving)
    assert names(version, "torch_tensorrt.load")[0] == "file_path"
    graphs = SIGNATURES[version]["torch_tensorrt.runtime.enable_cudagraphs"]["positional"]
    assert graphs[0] == "compiled_module"


def test_the_signatures_installed_here_are_the_committed_ones():
    torch_tensorrt = pytest.importorskip("torch_tensorrt", reason="torch-tensorrt not installed")
    version = torch_tensorrt.__version__.partition("+")[0]
    if version not in SIGNATURES:
        pytest.skip(f"no committed signatures of torch-tensorrt {version}")
    found = list(inspect.signature(torch_tensorrt.dynamo.compile).parameters)
    assert set(found) - {"kwargs"} == set(names(version, "torch_tensorrt.dynamo.compile"))


def test_every_operation_has_its_place_and_comes_after_what_it_needs(graph, partition):
    operations = [node for node in graph.nodes if node.op == "call_function"]
    assert list(partition.segment_of) == operations
    for node in operations:
        for source in node.all_input_nodes:
            if source in partition.segment_of:
                assert partition.segment_of[source] <= partition.segment_of[node]


def test_no_sort_gather_or_scatter_is_inside_a_tensorrt_segment(partition):
    inside = {str(node.target) for node in partition.in_tensorrt()}
    assert not {name for name in inside if any(w in name for w in ("sort", "gather", "scatter"))}
    assert max(map(longest_sort, partition.in_tensorrt()), default=0) == 0
    assert max(map(longest_sort, partition.in_torch())) == 64 * 72 > LONGEST_SORT


def test_every_histogram_block_sorts_three_times_in_torch_and_the_rest_is_tensorrts(partition):
    sorts = [node for node in partition.in_torch() if longest_sort(node)]
    assert len(sorts) == 3 * BLOCKS
    assert len(partition.in_tensorrt()) > 10 * len(sorts)
    inside = {str(node.target) for node in partition.in_tensorrt()}
    assert {"aten.conv2d.default", "aten.matmul.default", "aten.softmax.int"} <= inside


def test_what_the_plan_leaves_to_torch_is_what_torch_tensorrt_is_told(partition):
    left = {node.target for node in partition.in_torch()}
    assert {op for op in left if isinstance(op, torch._ops.OpOverload)} == torch_targets()


def test_the_plan_tells_itself_in_a_line(partition):
    assert f"{3 * BLOCKS} amg_fuse.stable_sort.default" in partition.summary()
    assert f"in {partition.engines} TensorRT engines" in partition.summary()


def test_a_picture_unlike_eagers_is_refused_with_how_far_it_is_off():
    image = torch.rand(1, 3, 8, 8)
    check((image + 1e-4,), image, "fp16")
    with pytest.raises(EngineError, match=r"another picture than eager \(\d+\.\d dB, 42 dB are"):
        check(torch.zeros_like(image), image, "fp16")
    with pytest.raises(EngineError, match=r"\(0\.0 dB"):
        check(torch.full_like(image, torch.nan), image, "fp32")


def test_the_estimate_says_size_and_time_and_that_it_is_a_guess():
    told = estimate(small_network(), "fp16")
    assert "MB on disk" in told
    assert "minutes" in told
    assert "guess" in told


def test_it_is_told_to_be_untried():
    assert "untried" in UNTRIED["tensorrt"]
