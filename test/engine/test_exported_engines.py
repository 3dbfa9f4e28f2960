"""The exported network is the network: as a checked file, in ONNX Runtime, in OpenVINO."""

import logging
from collections import Counter

import numpy as np
import pytest
from small_network import SMALL, small_network
from small_pairs import smooth_pair

from amg_fuse_ros.engine import create_engine
from amg_fuse_ros.engine.cache import cache_folder
from amg_fuse_ros.engine.fidelity import psnr_db
from amg_fuse_ros.engine.onnx_file import OPSET, write_onnx

onnx = pytest.importorskip("onnx", reason="engines onnx and openvino: onnx not installed")
pytest.importorskip("onnxscript", reason="engines onnx and openvino: onnxscript not installed")
HEIGHT, WIDTH = 24, 32
SORTS = 3 * (sum(SMALL.blocks[1:]) + sum(SMALL.blocks[:3]) + SMALL.refinement_blocks)


@pytest.fixture(scope="module")
def pair():
    thermal, rgb = smooth_pair(HEIGHT, WIDTH - 3)  # padded to the file's width
    return (rgb / 255).astype(np.float32), (thermal / 255).astype(np.float32)


@pytest.fixture(scope="module")
def exact(pair):
    return create_engine(small_network(), "eager", "cpu", "fp64").fuse(*pair)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    write_onnx(small_network(), path, HEIGHT, WIDTH)
    return onnx.load(path)


def test_the_file_has_named_inputs_of_one_resolution_and_standard_operations_only(model):
    def shapes(values):
        return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    assert shapes(model.graph.input) == {
        "visible": [1, 3, HEIGHT, WIDTH],
        "thermal": [1, 1, HEIGHT, WIDTH],
    }
    assert shapes(model.graph.output) == {"fused": [1, 3, HEIGHT, WIDTH]}
    assert {(i.domain, i.version) for i in model.opset_import} == {("", OPSET)}
    assert OPSET >= 18


def test_every_sort_is_a_topk_over_all_values_the_smallest_first(model):
    sorts = [n for n in model.graph.node if n.op_type == "TopK"]
    assert len(sorts) == SORTS
    for node in sorts:
        assert {a.name: a.i for a in node.attribute} == {"axis": -1, "largest": 0, "sorted": 1}


def test_the_masks_epsilon_survives_the_export(model):
    # An optimizer that takes 1e-8 for 0 makes the quotient 0 / 0 where the pair is black.
    values = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer]
    assert any(v.size == 1 and 0 < v.item() < 2e-8 for v in values if v.dtype == np.float32)
    assert Counter(n.op_type for n in model.graph.node)["Sigmoid"] >= 14


@pytest.mark.parametrize(
    ("name", "precision", "least_db"),
    [("onnx", "fp32", 90), ("openvino", "fp32", 90), ("openvino", "bf16", 30)],
)
def test_an_exported_engine_computes_what_the_network_does(name, precision, least_db, pair, exact):
    pytest.importorskip("onnxruntime" if name == "onnx" else name, reason=f"no {name}")
    engine = create_engine(small_network(), name, "cpu", precision)
    fused = engine.fuse(*pair)
    assert fused.shape == exact.shape
    assert psnr_db(fused, exact) > least_db
    assert np.isfinite(engine.fuse(*(np.zeros_like(x) for x in pair))).all()
    np.testing.assert_array_equal(engine.fuse(*pair), fused)


def test_a_second_engine_takes_the_kept_file_and_another_network_does_not(pair, caplog):
    pytest.importorskip("onnxruntime", reason="engine onnx: onnxruntime not installed")
    create_engine(small_network(), "onnx", "cpu").fuse(*pair)
    kept = set((cache_folder() / "engines").iterdir())
    caplog.set_level(logging.INFO, "amg_fuse_ros.engine")
    create_engine(small_network(), "onnx", "cpu").fuse(*pair)
    assert "exporting" not in caplog.text
    assert set((cache_folder() / "engines").iterdir()) == kept
    engine = create_engine(small_network(seed=1), "onnx", "cpu")
    assert engine.key(HEIGHT, WIDTH, {})["weights"] not in {p.name for p in kept}


def test_a_file_for_sides_that_are_no_multiples_of_8_is_refused(tmp_path):
    with pytest.raises(ValueError, match="multiples of 8, found 30x24"):
        write_onnx(small_network(), tmp_path / "x.onnx", 24, 30)
    assert not list(tmp_path.iterdir())


def test_openvino_sorts_by_the_projects_own_sort(tmp_path):
    openvino = pytest.importorskip("openvino", reason="engine openvino: openvino not installed")
    from amg_fuse_ros.engine.openvino import use_own_sort

    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("TopK", ["x", "k"], ["v", "i"], largest=0, sorted=1)
    graph = onnx.helper.make_graph(
        [node],
        "sort",
        [info("x", 1, [2, 5])],
        [info("v", 1, [2, 5]), info("i", 7, [2, 5])],
        [onnx.numpy_helper.from_array(np.array([5]), "k")],
    )
    path = tmp_path / "sort.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]), path)
    core = openvino.Core()
    model = core.read_model(path)
    assert use_own_sort(model) == 1
    x = np.array([[3, 1, 1, 0, 1], [0.5, -2, 0.5, 9, -2]], np.float32)
    found = core.compile_model(model, "CPU")([x])
    np.testing.assert_array_equal(found[0], np.sort(x))
    np.testing.assert_array_equal(found[1], np.argsort(x, kind="stable"))
