import os
import signal
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from benchmark_trees import image_set

from amg_fuse_ros.network.checkpoint import save_tensors
from amg_fuse_ros.spread import Workers
from training.baselines import fuse_baseline
from training.benchmark.fusing import folder_name, fuse_all, fuse_job, over
from training.benchmark.identity import FusedStore, method_key
from training.benchmark.methods import CLEAN, Method
from training.evaluate import find_sets
from training.metrics.folder import read_image
from training.restorer import SmallRestorer

AVERAGE = Method("average", "baseline", "average")
MAXIMUM = Method("brightest", "baseline", "maximum")


@pytest.fixture
def fuse(tmp_path):
    """Fuse tmp_path/data by some methods, with a store that outlives the call."""

    def run(*methods, out="out", **options):
        store = FusedStore(tmp_path / "store")
        return fuse_all(methods, find_sets(tmp_path / "data"), tmp_path / out, store, **options)

    return run


def pair(folder, name="a", prefix=""):
    return tuple(read_image(folder / f"{prefix}{kind}" / f"{name}.png") for kind in ("ir", "vi"))


def test_every_pair_is_fused_by_every_method(tmp_path, fuse):
    for name in ("night", "rain"):
        image_set(tmp_path / "data" / name)
    results = fuse(AVERAGE, MAXIMUM)
    assert set(results) == {(m, s) for m in ("average", "brightest") for s in ("night", "rain")}
    for (method, set_name), fused in results.items():
        expected = fuse_baseline(
            {"average": "average", "brightest": "maximum"}[method],
            *pair(tmp_path / "data" / set_name, "b"),
        )
        np.testing.assert_array_equal(read_image(fused.folder / "b.png"), expected)
        assert fused.fresh == 2
        assert not fused.problems


def test_what_was_fused_before_is_not_fused_again_in_another_folder_or_under_another_name(
    tmp_path, fuse
):
    image_set(tmp_path / "data")
    fuse(AVERAGE)
    (again,) = fuse(replace(AVERAGE, name="mean"), out="elsewhere").values()
    assert again.fresh == 0
    assert sorted(path.name for path in again.folder.iterdir()) == ["a.png", "b.png"]


def test_only_the_pair_whose_content_changed_is_fused_again(tmp_path, fuse):
    image_set(tmp_path / "data")
    fuse(AVERAGE)
    cv2.imwrite(str(tmp_path / "data" / "ir" / "a.png"), np.zeros((48, 64), np.uint8))
    (again,) = fuse(AVERAGE).values()
    assert again.fresh == 1
    expected = fuse_baseline("average", *pair(tmp_path / "data"))
    np.testing.assert_array_equal(read_image(again.folder / "a.png"), expected)


def test_a_fusion_that_was_interrupted_goes_on_where_it_was(tmp_path, fuse):
    image_set(tmp_path / "data", ("a", "b", "c"))

    def power_cut(function, jobs):
        yield function(jobs[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fuse(AVERAGE, spread=power_cut)
    (done,) = fuse(AVERAGE).values()
    assert done.fresh == 2


def test_jobs_may_be_answered_in_any_order(tmp_path, fuse):
    image_set(tmp_path / "data", ("a", "b", "c"))
    (fused,) = fuse(AVERAGE, spread=lambda f, jobs: map(f, reversed(jobs))).values()
    for name in ("a", "b", "c"):
        expected = fuse_baseline("average", *pair(tmp_path / "data", name))
        np.testing.assert_array_equal(read_image(fused.folder / f"{name}.png"), expected)


def test_other_processes_fuse_the_same_and_tell_what_they_could_not(tmp_path, fuse):
    image_set(tmp_path / "data", ("a", "b", "c"))
    (tmp_path / "data" / "vi" / "b.png").write_bytes(b"no image")
    (fused,) = fuse(AVERAGE, spread=over(Workers(2))).values()
    assert "b.png: cannot be decoded" in fused.problems["b"]
    assert fused.fresh == 2
    expected = fuse_baseline("average", *pair(tmp_path / "data", "c"))
    np.testing.assert_array_equal(read_image(fused.folder / "c.png"), expected)


def test_a_worker_that_dies_costs_the_image_it_was_at(tmp_path, fuse):
    image_set(tmp_path / "data", ("a", "b", "c"))

    def spread(function, jobs):
        del function
        return over(Workers(2))(die_at_b, jobs)

    (fused,) = fuse(AVERAGE, spread=spread).values()
    assert list(fused.problems) == ["b"]
    assert fused.fresh == 2


def die_at_b(job):
    if job.out.stem == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return fuse_job(job)


def test_a_pair_that_cannot_be_fused_is_told_and_its_image_of_an_earlier_run_goes(tmp_path, fuse):
    image_set(tmp_path / "data")
    fuse(AVERAGE)
    (tmp_path / "data" / "ir" / "a.png").write_bytes(b"no image")
    (fused,) = fuse(AVERAGE).values()
    assert list(fused.problems) == ["a"]
    assert "a.png: cannot be decoded" in fused.problems["a"]
    assert [path.name for path in fused.folder.iterdir()] == ["b.png"]


def test_a_method_that_cannot_be_loaded_is_told_for_each_image_and_the_others_go_on(tmp_path, fuse):
    image_set(tmp_path / "data")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    broken = Method("broken", "weights", str(tmp_path / "broken.pth"))
    results = fuse(broken, AVERAGE)
    assert set(results["broken", "data"].problems) == {"a", "b"}
    assert "broken.pth" in results["broken", "data"].problems["a"]
    assert results["average", "data"].fresh == 2


def test_the_clean_oracle_sees_the_clean_pair_and_leaves_out_sets_without_one(tmp_path, fuse):
    image_set(tmp_path / "data" / "rain", weather=True)
    image_set(tmp_path / "data" / "day")
    results = fuse(replace(AVERAGE, restore=CLEAN))
    assert list(results) == [("average", "rain")]
    fused = read_image(results["average", "rain"].folder / "a.png")
    expected = fuse_baseline("average", *pair(tmp_path / "data" / "rain", prefix="clean_"))
    np.testing.assert_array_equal(fused, expected)


def test_a_restorer_works_on_the_visible_image_before_the_fusion(tmp_path, fuse):
    image_set(tmp_path / "data")
    torch.manual_seed(0)
    restorer = SmallRestorer()
    with torch.no_grad():  # fresh, it returns its input
        for parameter in restorer.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_tensors(restorer.state_dict(), tmp_path / "r.safetensors", {})
    method = Method("restored", "baseline", "visible", restore=str(tmp_path / "r.safetensors"))
    (fused,) = fuse(method).values()

    _, visible = pair(tmp_path / "data")
    with torch.no_grad():
        x = torch.from_numpy(visible).permute(2, 0, 1)[None] / 255
        restored = (restorer.eval()(x)[0].clamp(0, 1) * 255).round().byte()
    expected = cv2.cvtColor(restored.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY).astype(int)
    found = read_image(fused.folder / "a.png").astype(int)
    assert np.abs(found - expected).max() <= 1
    unrestored = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(found - unrestored).max() > 5


def test_results_of_others_are_found_by_set_or_for_the_only_set_in_their_folder(tmp_path, fuse):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    method = Method("theirs", "results", str(theirs))
    image_set(tmp_path / "data" / "rain")
    assert not fuse(method)
    cv2.imwrite(str(theirs / "a.png"), np.zeros((48, 64), np.uint8))
    assert fuse(method)["theirs", "rain"].folder == theirs
    image_set(tmp_path / "data" / "snow")
    (theirs / "snow").mkdir()
    assert {place[1]: fused.folder for place, fused in fuse(method).items()} == {
        "snow": theirs / "snow"
    }


def test_settings_weights_and_restorer_make_another_key_and_the_name_does_not(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    network = Method("net", "weights", str(weights))
    same = replace(network, name="other name")
    others = [
        replace(network, precision="bf16"),
        replace(network, engine="eager"),
        replace(network, restore=str(weights)),
        AVERAGE,
        replace(AVERAGE, source="maximum"),
    ]
    keys = {method_key(method) for method in (network, *others)}
    assert len(keys) == 1 + len(others)
    assert method_key(same) == method_key(network)
    weights.write_bytes(b"two")
    method_key.cache_clear()
    assert method_key(network) not in keys


@pytest.mark.parametrize(("left", "right"), [("a/b", "a_b"), ("a b", "a?b"), ("..", "%")])
def test_names_of_methods_become_names_of_folders_that_differ(left, right):
    assert folder_name(left) != folder_name(right)
    assert "/" not in folder_name(left)
