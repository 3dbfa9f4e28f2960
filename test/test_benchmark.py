"""The benchmark compares engines honestly: each in its process, by turns, beside a plain one."""

import copy
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_weights import golden_shapes, golden_state_dict

from amg_fuse_ros import benchmark
from amg_fuse_ros.benchmark import PLAIN, Candidate, Case, parse_candidates, psnr_db, regressions
from amg_fuse_ros.benchmark.plain_engine import PlainEngine
from amg_fuse_ros.benchmark.report import cost_per_pixel
from amg_fuse_ros.benchmark.worker import workers
from amg_fuse_ros.engine import EngineError, create_engine
from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.network.plain import use_plain_formulation
from amg_fuse_ros.resolution import Resolution
from amg_fuse_ros.scenes import sample_pairs

SMALL = Resolution(32, 24)
CASE = Case((SMALL,), threads=1)
EAGER = Candidate("eager", "fp32")


@pytest.fixture(scope="module")
def result():
    return benchmark.compare(CASE, [EAGER], frames=2)


def row(engine="eager", precision="fp32", resolution="32x24", ratio=4.0, psnr=50.0):
    return {
        "engine": engine,
        "precision": precision,
        "resolution": resolution,
        "seconds_median": 1.0,
        "ratio_to_plain": ratio,
        "psnr_db": psnr,
    }


def results(*rows, size="tiny"):
    return {"case": {"size": size}, "results": list(rows)}


def test_the_plain_engine_computes_what_the_network_does():
    network = AMGFuse.from_size("tiny").eval()
    state = golden_state_dict(golden_shapes("tiny"), seed=1)
    network.load_state_dict(state)
    plain = copy.deepcopy(network)
    use_plain_formulation(plain.double())
    exact = create_engine(copy.deepcopy(network), "eager", "cpu", "fp64")
    rng = np.random.default_rng(0)
    visible, thermal = rng.random((24, 32, 3), np.float32), rng.random((24, 32), np.float32)
    vi = torch.from_numpy(visible).double().permute(2, 0, 1)[None]
    with torch.inference_mode():
        fused = plain.fuse(vi, torch.from_numpy(thermal).double()[None, None])[0]
    expected = exact.fuse(visible, thermal)
    np.testing.assert_allclose(fused.clamp(0, 1).permute(1, 2, 0).numpy(), expected, atol=1e-6)
    engine = PlainEngine(network, "cpu")
    fused = engine.fuse(visible, thermal)
    assert (fused.shape, fused.dtype) == ((24, 32, 3), np.float32)
    assert 0 <= fused.min() < fused.max() <= 1


def test_the_plain_formulation_computes_all_three_images_even_for_the_fused_one():
    network = AMGFuse.from_size("tiny").eval()
    use_plain_formulation(network)
    ran = []
    network.output_vi.register_forward_hook(lambda *_: ran.append("visible"))
    network.output_ir.register_forward_hook(lambda *_: ran.append("thermal"))
    with torch.inference_mode():
        network.fuse(torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8))
    assert ran == ["visible", "thermal"]


def test_every_candidate_is_timed_beside_the_plain_formulation(result):
    assert [(r["engine"], r["precision"]) for r in result["results"]] == [
        ("plain", "fp32"),
        ("eager", "fp32"),
    ]
    for found in result["results"]:
        assert found["resolution"] == "32x24"
        assert 0 < found["seconds_least"] <= found["seconds_median"] <= found["seconds_most"]
        assert found["ratio_to_plain"] > 0
        assert found["psnr_db"] > 30
    assert result["results"][0]["ratio_to_plain"] == 1
    assert result["environment"]["threads"] == 1


def test_the_result_is_plain_json(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_report_has_a_line_for_every_result(result):
    lines = "\n".join(benchmark.report(result))
    assert lines.count("32x24") == 2
    assert "1 threads" in lines


def test_without_the_plain_formulation_and_fidelity_there_are_none():
    found = benchmark.compare(CASE, [EAGER], frames=1, against_plain=False, fidelity=False)
    (only,) = found["results"]
    assert (only["engine"], only["ratio_to_plain"], only["psnr_db"]) == ("eager", None, None)


def test_the_plain_process_has_the_c_librarys_usual_allocator(monkeypatch):
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1000000")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    with workers([PLAIN], CASE) as (plain,):
        environment = plain.environ()
        assert not [name for name in environment if name.startswith(("MALLOC_", "GOMP_"))]
    assert os.environ["MALLOC_TOP_PAD_"] == "1000000"


def test_throughput_is_measured_in_one_and_in_two_processes():
    found = benchmark.throughput(replace(CASE, threads=2), [EAGER], frames=2)
    assert [(r["processes"], r["threads_each"]) for r in found] == [(1, 2), (2, 1)]
    assert all(r["pairs_per_second"] > 0 for r in found)


def test_a_candidate_that_fails_is_an_error_with_its_reason(tmp_path):
    with pytest.raises(EngineError, match=r"plain fp32: .*none\.pth: no such weights file"):
        benchmark.compare(
            replace(CASE, weights=str(tmp_path / "none.pth")), [EAGER], fidelity=False
        )


def test_candidates_are_named_with_or_without_precision():
    assert parse_candidates("eager, eager:bf16") == [EAGER, Candidate("eager", "bf16")]
    assert EAGER in parse_candidates("all", "cpu")
    with pytest.raises(ValueError, match=r"expected engines among .*'eager'.*found 'warp'"):
        parse_candidates("warp")
    with pytest.raises(ValueError, match=r"expected a precision among .*found 'int8'"):
        parse_candidates("eager:int8")


@pytest.mark.parametrize("text", ["640", "640x", "x", "8x480", "640x480x3", "-640x480", "axb"])
def test_a_resolution_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="expected a resolution as 640x480"):
        Resolution.parse(text)


def test_psnr_is_that_of_the_mean_squared_error():
    zero = np.zeros((4, 4, 3), np.float32)
    assert psnr_db(zero + np.float32(0.1), zero) == pytest.approx(20, abs=1e-5)
    assert psnr_db(zero, zero) == 200
    with pytest.raises(ValueError, match="one shape"):
        psnr_db(zero, zero[:2])


def test_a_lower_ratio_is_a_regression_beyond_the_tolerance_only():
    baseline = results(row("plain", ratio=1.0), row(ratio=4.0))
    assert list(regressions(results(row(ratio=3.3)), baseline)) == []
    (told,) = regressions(results(row(ratio=3.1)), baseline)
    assert told == "eager fp32 32x24: 3.10 times as fast as plain, it was 4.00"
    assert list(regressions(results(row(ratio=3.1)), baseline, tolerance=0.3)) == []


def test_lost_fidelity_is_a_regression():
    (told,) = regressions(results(row(psnr=47.0)), results(row(psnr=50.0)))
    assert told == "eager fp32 32x24: 47.0 dB of fidelity, it was 50.0 dB"


def test_what_the_baseline_or_the_run_lacks_is_left_out_but_not_everything():
    baseline = results(row(), row("openvino"))
    assert list(regressions(results(row(), row(resolution="64x48")), baseline)) == []
    with pytest.raises(ValueError, match="nothing of"):
        list(regressions(results(row(resolution="64x48")), baseline))
    with pytest.raises(ValueError, match="size 'full', found one of 'tiny'"):
        list(regressions(results(row(), size="full"), baseline))


def test_cost_per_pixel_tells_whether_cost_grows_with_pixels():
    rows = [row(resolution="100x100"), {**row(resolution="200x100"), "seconds_median": 2.0}]
    assert cost_per_pixel(rows) == {"100x100": pytest.approx(100), "200x100": pytest.approx(100)}


def test_sample_pairs_are_drawn_the_same_every_time():
    first, again = sample_pairs(4, 64, 48), sample_pairs(4, 64, 48)
    assert [(t.shape, c.shape) for t, c in first] == [((48, 64), (48, 64, 3))] * 4
    for (thermal, rgb), (thermal_again, rgb_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(thermal, thermal_again)
        np.testing.assert_array_equal(rgb, rgb_again)
    assert not np.array_equal(first[0][1], first[3][1])
