import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.network import AMGFuse, save_weights
from training.baselines import fuse_baseline
from training.evaluate import find_sets, main
from training.metrics import METRICS, score
from training.metrics.folder import read_image

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(5)


def peak_signal_noise_ratio(reference, image):
    error = np.mean((np.asarray(reference, float) - np.asarray(image, float)) ** 2)
    return 10 * np.log10(255**2 / error)


def scene(shape=(44, 52)):
    blurred = cv2.GaussianBlur(RNG.integers(0, 256, shape, dtype=np.uint8), None, 1.5)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX)


def write_set(folder, kinds=("ir", "vi"), names=("a", "b")):
    images = {}
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for name in names:
            images[kind, name] = scene()
            assert cv2.imwrite(str(folder / kind / f"{name}.png"), images[kind, name])
    return images


@pytest.fixture
def evaluate(tmp_path, capsys):
    """Run the command line on tmp_path/data: (status, table, errors)."""

    def run(*arguments, data=tmp_path / "data"):
        common = ["--data", data, "--jobs", 1, "--cache", tmp_path / "cache"]
        status = main([str(argument) for argument in (*common, *arguments)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def lines_of(out):
    with (out / "scores.csv").open() as file:
        return list(csv.DictReader(file))


def scores_of(line):
    return {key: float(line[key]) for key in METRICS}


CLEAN = ("ir", "vi", "clean_ir", "clean_vi")


def test_a_built_in_method_is_fused_scored_written_and_shown(tmp_path, evaluate):
    images = write_set(tmp_path / "data")
    status, table, _ = evaluate("--method", "average", "--out", tmp_path / "out")
    expected = {}
    for name in ("a", "b"):
        fused = fuse_baseline("average", images["ir", name], images["vi", name])
        expected[name] = score(images["ir", name], images["vi", name], fused)

    lines = lines_of(tmp_path / "out")
    assert {line["name"]: scores_of(line) for line in lines} == expected
    assert {(line["set"], line["reference"]) for line in lines} == {("data", "inputs")}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    (means,) = summary["means"]
    assert summary["method"] == "average"
    assert summary["skipped"] == []
    assert means["images"] == 2
    for key in METRICS:
        assert means[key] == pytest.approx((expected["a"][key] + expected["b"][key]) / 2)
        assert f"{means[key]:.3f}" in table
    assert status == 0


def test_weights_are_run_over_the_pairs_and_scored(tmp_path, evaluate):
    images = write_set(tmp_path / "data", names=("a",))
    calm_weights(tmp_path / "w.safetensors")
    options = "--weights", tmp_path / "w.safetensors", "--engine", "eager"
    status, table, _ = evaluate(*options, "--out", tmp_path / "out")
    assert status == 0
    assert "w.safetensors (eager)" in " ".join(table.split())

    fuser = Fuser.from_options(weights=tmp_path / "w.safetensors", engine="eager")
    pair = images["ir", "a"], images["vi", "a"]
    fused = read_image(tmp_path / "out" / "fused" / "data" / "a.png")
    np.testing.assert_allclose(fused.astype(int), fuser.fuse(*pair).image, atol=1)
    assert np.ptp(fused) > 30
    (line,) = lines_of(tmp_path / "out")
    assert scores_of(line) == score(*pair, fused)


def calm_weights(path):
    """Random weights of size tiny; with attention they would amplify rounding to chaos."""
    torch.manual_seed(0)
    network = AMGFuse.from_size("tiny").requires_grad_(False)
    for name, parameter in network.named_parameters():
        if "project_out" in name:
            parameter.zero_()
    save_weights(network, path, {})
    return path


def test_scales_are_compared_with_full_size(tmp_path, evaluate):
    images = write_set(tmp_path / "data")
    weights = calm_weights(tmp_path / "w.safetensors")
    options = "--weights", weights, "--engine", "eager", "--scale", "0.5,1"
    status, table, _ = evaluate(*options, "--out", tmp_path / "out")
    assert status == 0

    full, half = json.loads((tmp_path / "out" / "scales.json").read_text())["scales"]
    assert (full["psnr_to_full_db"], full["ssim_to_full"]) == (None, None)
    assert (full["scale"], full["images"]) == (1, 2)
    assert (half["scale"], half["images"]) == (0.5, 2)
    fuser = Fuser.from_options(weights=weights, engine="eager", scale=0.5)
    psnr, similarity, scores = [], [], []
    for name in ("a", "b"):
        pair = images["ir", name], images["vi", name]
        at_full, at_half = (
            read_image(tmp_path / "out" / f"scale-{scale}" / "fused" / "data" / f"{name}.png")
            for scale in ("1", "0.5")
        )
        np.testing.assert_allclose(at_half.astype(int), fuser.fuse(*pair).image, atol=1)
        psnr.append(peak_signal_noise_ratio(at_full, at_half))
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (at_full, at_half)]
        similarity.append(score(grey[0], grey[0], grey[1])["ssim"])
        scores.append(score(*pair, at_half))
    assert half["psnr_to_full_db"] == pytest.approx(np.mean(psnr), abs=1e-4)
    assert half["ssim_to_full"] == pytest.approx(np.mean(similarity))
    for key in METRICS:
        assert half[key] == pytest.approx(np.mean([s[key] for s in scores]))
    assert f"{half['psnr_to_full_db']:.2f}" in table
    assert (tmp_path / "out" / "scale-0.5" / "scores.csv").is_file()


def test_one_scale_is_an_evaluation_like_any_other(tmp_path, evaluate):
    write_set(tmp_path / "data", names=("a",))
    weights = calm_weights(tmp_path / "w.safetensors")
    for scale in ("1", "0.5"):
        options = "--weights", weights, "--engine", "eager", "--scale", scale
        assert evaluate(*options, "--out", tmp_path / scale)[0] == 0
    one, half = (read_image(tmp_path / s / "fused" / "data" / "a.png") for s in ("1", "0.5"))
    assert one.shape == half.shape
    assert not np.array_equal(one, half)


@pytest.mark.parametrize("scale", ["", "half", "0", "1.5", "1,0.01", "nan"])
def test_a_scale_that_is_none_is_refused_with_what_was_expected(tmp_path, evaluate, scale):
    write_set(tmp_path / "data", names=("a",))
    status, _, errors = evaluate("--weights", "--scale", scale)
    assert status == 1
    assert "--scale: expected numbers from 0.05 to 1" in errors


def test_scales_are_compared_by_one_kind_of_reference(tmp_path, evaluate):
    write_set(tmp_path / "data", names=("a",))
    status, _, errors = evaluate("--weights", "--scale", "1,0.5", "--reference", "both")
    assert status == 1
    assert "--reference clean or inputs" in errors


def test_only_the_projects_own_network_has_a_scale(tmp_path, evaluate):
    write_set(tmp_path / "data", names=("a",))
    status, _, errors = evaluate("--method", "average", "--scale", "0.5")
    assert status == 1
    assert "--scale: works with --weights" in errors


@pytest.mark.parametrize(
    ("weights", "engine", "message"),
    [("none.pth", "eager", "no such weights file"), ("w.safetensors", "warp", "found 'warp'")],
)
def test_weights_or_an_engine_that_are_not_there_are_errors(
    tmp_path, evaluate, weights, engine, message
):
    write_set(tmp_path / "data", names=("a",))
    save_weights(AMGFuse.from_size("tiny"), tmp_path / "w.safetensors", {})
    status, _, errors = evaluate("--weights", tmp_path / weights, "--engine", engine)
    assert status == 1
    assert message in errors


def test_another_methods_results_are_scored_from_their_folder(tmp_path, evaluate):
    images = write_set(tmp_path / "data", names=("a",))
    (tmp_path / "theirs").mkdir()
    cv2.imwrite(str(tmp_path / "theirs" / "a.bmp"), images["ir", "a"])
    evaluate("--results", tmp_path / "theirs", "--out", tmp_path / "out")
    (line,) = lines_of(tmp_path / "out")
    assert scores_of(line) == score(images["ir", "a"], images["vi", "a"], images["ir", "a"])


@pytest.mark.parametrize(
    ("wanted", "clean_exists", "used"),
    [
        ("clean", True, ["clean"]),
        ("clean", False, ["inputs"]),
        ("inputs", True, ["inputs"]),
        ("both", True, ["clean", "inputs"]),
        ("both", False, ["inputs"]),
    ],
)
def test_the_reference_is_the_clean_pair_or_the_inputs_as_asked(
    tmp_path, evaluate, wanted, clean_exists, used
):
    images = write_set(tmp_path / "data", CLEAN if clean_exists else CLEAN[:2], names=("a",))
    evaluate("--method", "visible", "--reference", wanted, "--out", tmp_path / "out")
    lines = lines_of(tmp_path / "out")
    assert [line["reference"] for line in lines] == used
    for line in lines:
        prefix = "clean_" if line["reference"] == "clean" else ""
        sources = images[f"{prefix}ir", "a"], images[f"{prefix}vi", "a"]
        assert scores_of(line) == score(*sources, images["vi", "a"])


def test_a_folder_of_sets_is_scored_set_by_set_and_over_all_images(tmp_path, evaluate):
    write_set(tmp_path / "data" / "night", names=("a",))
    write_set(tmp_path / "data" / "rain", CLEAN)
    write_set(tmp_path / "data" / "snow", CLEAN, names=("a",))
    (tmp_path / "data" / "notes").mkdir()
    evaluate("--method", "average", "--reference", "both", "--out", tmp_path / "out")
    means = json.loads((tmp_path / "out" / "summary.json").read_text())["means"]
    assert [(m["set"], m["reference"], m["images"]) for m in means] == [
        ("night", "inputs", 1), ("rain", "clean", 2), ("rain", "inputs", 2),
        ("snow", "clean", 1), ("snow", "inputs", 1), ("all", "clean", 3), ("all", "inputs", 4),
    ]  # fmt: skip
    everything = [float(n["q_g"]) for n in lines_of(tmp_path / "out") if n["reference"] == "clean"]
    assert means[5]["q_g"] == pytest.approx(sum(everything) / 3)


def test_results_for_some_of_the_sets_are_enough(tmp_path, evaluate, caplog):
    write_set(tmp_path / "data" / "rain", names=("a",))
    write_set(tmp_path / "data" / "snow", names=("a",))
    theirs = tmp_path / "theirs"
    (theirs / "snow").mkdir(parents=True)
    cv2.imwrite(str(theirs / "snow" / "a.png"), scene())
    status, table, _ = evaluate("--results", theirs)
    assert status == 0
    assert "snow" in table
    assert "skipped the set rain" in caplog.text


def test_results_for_none_of_the_sets_are_an_error_that_names_them(tmp_path, evaluate):
    write_set(tmp_path / "data" / "rain", names=("a",))
    write_set(tmp_path / "data" / "snow", names=("a",))
    status, _, errors = evaluate("--results", tmp_path)
    assert status == 1
    assert "(rain, snow), found none" in errors


@pytest.mark.parametrize(("thermal", "visible"), [("thermal", "visible"), ("infrared", "rgb")])
def test_folders_may_be_called_thermal_and_visible(tmp_path, thermal, visible):
    kinds = thermal, visible, f"clean_{thermal}", f"clean_{visible}"
    write_set(tmp_path, kinds, names=("a",))
    (found,) = find_sets(tmp_path)
    paths = found.thermal, found.visible, found.clean_thermal, found.clean_visible
    assert paths == tuple(tmp_path / kind for kind in kinds)


def test_half_a_clean_pair_is_refused(tmp_path, evaluate):
    write_set(tmp_path / "data", CLEAN[:3])
    status, _, errors = evaluate("--method", "average")
    assert status == 1
    assert "clean_ir/ and clean_vi/ both" in errors


def test_a_folder_without_pairs_is_an_error_that_says_what_is_expected(tmp_path, evaluate):
    status, _, errors = evaluate("--method", "average", data=tmp_path)
    assert status == 1
    assert "expected folders ir/ and vi/" in errors


def test_a_pair_that_cannot_be_fused_is_skipped_with_its_reason(tmp_path, evaluate):
    write_set(tmp_path / "data")
    (tmp_path / "data" / "ir" / "a.png").write_bytes(b"no image")
    status, _, errors = evaluate("--method", "average", "--out", tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    (skipped,) = summary["skipped"]
    assert skipped["name"] == "a"
    assert "a.png: cannot be decoded" in skipped["problem"]
    assert f"skipped data/a: {skipped['problem']}" in errors
    assert [line["name"] for line in lines_of(tmp_path / "out")] == ["b"]
    assert status == 0


def test_a_stale_fused_image_of_an_earlier_run_is_not_scored(tmp_path, evaluate):
    write_set(tmp_path / "data")
    evaluate("--method", "average", "--out", tmp_path / "out")
    cv2.imwrite(str(tmp_path / "data" / "ir" / "a.png"), scene((44, 60)))
    evaluate("--method", "average", "--out", tmp_path / "out")
    assert [line["name"] for line in lines_of(tmp_path / "out")] == ["b"]


def test_where_nothing_can_be_scored_the_exit_status_says_so(tmp_path, evaluate):
    write_set(tmp_path / "data", names=("a",))
    (tmp_path / "theirs").mkdir()
    assert evaluate("--results", tmp_path / "theirs")[0] == 1


def test_the_command_runs_on_worker_processes(tmp_path):
    write_set(tmp_path / "data")
    command = [sys.executable, "-m", "training.evaluate", "--data", tmp_path / "data"]
    command += ["--method", "maximum", "--jobs", "2", "--cache", tmp_path / "cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "maximum" in done.stdout
    assert "Q^AB/F" in done.stdout


PEERS = {
    "average": (0.277, 0.139, 0.392, 0.139, 0.309, 0.475, 0.117),
    "maximum": (0.309, 0.166, 0.449, 0.141, 0.302, 0.313, 0.241),
    "laplacian": (0.208, 0.183, 0.423, 0.161, 0.333, 0.419, 0.247),
}


@pytest.mark.shared
@pytest.mark.parametrize("method", PEERS)
def test_the_weather_pairs_score_as_in_the_shared_table_of_methods(
    method, tmp_path, evaluate, shared_dir
):
    for weather in ("snow", "rain", "haze"):
        source = shared_dir / "data" / "test" / f"awmm_{weather}"
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / weather).symlink_to(source, target_is_directory=True)
    evaluate("--method", method, "--out", tmp_path / "out")
    means = json.loads((tmp_path / "out" / "summary.json").read_text())["means"][-1]
    assert (means["set"], means["reference"], means["images"]) == ("all", "clean", 6)
    assert [means[key] for key in METRICS] == pytest.approx(PEERS[method], abs=6e-4)


def test_what_was_fused_with_the_same_weights_is_kept_and_the_rest_is_fused_anew(
    tmp_path, evaluate, random_weights
):
    write_set(tmp_path / "data")
    options = "--weights", random_weights, "--engine", "eager", "--out", tmp_path / "out"
    evaluate(*options)
    kept, removed = (tmp_path / "out" / "fused" / "data" / f"{name}.png" for name in "ab")
    before = kept.stat().st_mtime_ns
    removed.unlink()
    assert evaluate(*options)[0] == 0
    assert removed.exists()
    assert kept.stat().st_mtime_ns == before
    save_weights(AMGFuse.from_size("tiny"), tmp_path / "other.safetensors", {})
    evaluate("--weights", tmp_path / "other.safetensors", *options[2:])
    assert kept.stat().st_mtime_ns != before


@pytest.mark.timeout(120)
def test_a_ray_cluster_fuses_and_scores_as_this_machine_does(tmp_path, evaluate):
    pytest.importorskip("ray", reason="ray is not installed: pip install ray")
    write_set(tmp_path / "data")
    (tmp_path / "data" / "vi" / "b.png").write_bytes(b"no image")
    evaluate("--method", "laplacian", "--out", tmp_path / "here")
    status, _, errors = evaluate(
        *("--method", "laplacian", "--out", tmp_path / "ray"),
        *("--ray", "local", "--cache", tmp_path / "another"),
    )
    assert status == 0
    assert "skipped data/b" in errors
    assert lines_of(tmp_path / "ray") == lines_of(tmp_path / "here")
