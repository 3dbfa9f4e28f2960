import json

import pytest
from benchmark_trees import image_set

from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.weights import shipped_weights
from training.benchmark.efficiency import measure_all
from training.benchmark.macs import fusion_macs, restorer_macs
from training.benchmark.measure import measure
from training.benchmark.methods import CLEAN, Method
from training.restorer import SmallRestorer

AVERAGE = Method("average", "baseline", "average")


@pytest.fixture
def pair(tmp_path):
    folder = image_set(tmp_path / "data")
    return folder / "ir" / "a.png", folder / "vi" / "a.png"


def test_tiny_does_the_multiplications_that_the_paper_gives():
    network = AMGFuse.from_size("tiny").eval()
    all_images, fused_only = fusion_macs(network)
    assert all_images.convolutions == pytest.approx(20.972e9, rel=1e-3)
    assert fused_only.convolutions == pytest.approx(18.92e9, rel=1e-3)
    assert all_images.products == fused_only.products > 1e9


def test_a_restorers_multiplications_grow_with_the_image():
    restorer = SmallRestorer()
    assert restorer_macs(restorer, 128).convolutions == 4 * restorer_macs(restorer, 64).convolutions


def test_a_network_is_measured_with_its_parameters_time_and_memory(pair):
    method = Method("tiny", "weights", str(shipped_weights("tiny")), engine="eager", device="cpu")
    measured = measure(method, *pair, (48, 40), repeats=2)
    assert measured["parameters"] == 4_933_853
    assert measured["macs"]["convolutions"] > measured["macs_fused_only"]["convolutions"]
    assert measured["engine"] == "eager, fp32, cpu"
    low, high = measured["seconds_range"]
    assert 0 < low <= measured["seconds"] <= high
    assert measured["peak_mib"] >= measured["loaded_mib"] > 50


def test_a_baseline_has_a_time_but_neither_parameters_nor_multiplications(pair):
    measured = measure(AVERAGE, *pair, (64, 48), repeats=1)
    assert measured["parameters"] is measured["macs"] is None
    assert measured["seconds"] > 0


def test_each_method_is_measured_once_in_a_process_of_its_own_and_then_recalled(tmp_path, pair):
    methods = [
        AVERAGE,
        Method("average@clean", "baseline", "average", restore=CLEAN),
        Method("theirs", "results", str(tmp_path)),
    ]
    measured = measure_all(methods, pair, tmp_path / "kept", size=(64, 48), repeats=1)
    assert list(measured["methods"]) == ["average"]
    # A process that has loaded torch holds more; this one has not.
    assert 20 < measured["methods"]["average"]["peak_mib"] < 400
    assert measured["machine"]["cores"] >= 1
    assert measure_all(methods, pair, tmp_path / "kept", size=(64, 48), repeats=1) == measured
    json.dumps(measured)


def test_a_changed_list_of_methods_is_measured_anew(tmp_path, pair):
    kept = tmp_path / "kept"
    measure_all([AVERAGE], pair, kept, size=(64, 48), repeats=1)
    more = [AVERAGE, Method("maximum", "baseline", "maximum")]
    measured = measure_all(more, pair, kept, size=(64, 48), repeats=1)
    assert list(measured["methods"]) == ["average", "maximum"]
    assert len(list(kept.iterdir())) == 2


def test_a_method_that_fails_says_why_and_is_tried_again_next_time(tmp_path, pair):
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    broken = Method("broken", "weights", str(tmp_path / "broken.pth"))
    measured = measure_all([broken, AVERAGE], pair, tmp_path / "kept", size=(64, 48), repeats=1)
    assert "broken.pth: expected a safetensors file" in measured["methods"]["broken"]["problem"]
    assert "seconds" in measured["methods"]["average"]
    assert not list((tmp_path / "kept").glob("*.json"))
