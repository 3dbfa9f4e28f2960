"""``amg-fuse replay --rerun``: what was fused, to look at."""

import pytest
from command_line import make_bag, refused

pytest.importorskip("rerun.chunk", reason="needs rerun-sdk: pip install 'amg_fuse_ros[view]'")


def test_a_replay_is_recorded_for_rerun_with_what_a_detector_finds(
    amg_fuse, folders, network, tmp_path, yolo_onnx
):
    from rrd_files import columns

    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    file = tmp_path / "night.rrd"
    replay = ["replay", bag, "--out", tmp_path / "fused", "--detector", yolo_onnx, *network]
    assert refused(amg_fuse(*replay), "--detector goes with --rerun")
    outcome = amg_fuse(*replay, "--rerun", file)
    assert outcome.code == 0, outcome.err
    found = columns(file)
    entities = {"/thermal", "/rgb", "/fused", "/mask", "/latency_ms/engine", "/latency_ms/total"}
    assert entities <= found.keys()
    assert all(len(found[entity]["stamp"]) == 3 for entity in entities)
    assert found["/fused/detections"]["stamp"] == found["/fused"]["stamp"]
    (captions, *_) = found["/fused/detections"]["Boxes2D:labels"]
    assert {caption.split()[0] for caption in captions.as_py()} <= {"person", "bicycle", "car"}


def test_an_existing_file_ends_the_replay_before_it_begins(amg_fuse, folders, network, tmp_path):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    (tmp_path / "a.rrd").write_text("mine")
    again = ["replay", bag, "--out", tmp_path / "fused", "--rerun", tmp_path / "a.rrd", *network]
    assert refused(amg_fuse(*again), "a.rrd exists already")
    assert not (tmp_path / "fused").exists()


def test_several_bags_do_not_go_into_one_file(amg_fuse, folders, network, tmp_path):
    bags = [make_bag(amg_fuse, folders, tmp_path / name) for name in ("a", "b")]
    many = ["replay", *bags, "--out", tmp_path / "out", "--rerun", tmp_path / "a.rrd", *network]
    assert refused(amg_fuse(*many), "--rerun takes one bag")
