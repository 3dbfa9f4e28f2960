"""``amg-fuse info``: what is here."""

import re

from command_line import refused

import amg_fuse_ros


def test_info_tells_versions_engines_and_the_weights_card(amg_fuse, random_weights):
    outcome = amg_fuse("info", "--weights", random_weights)
    assert outcome.code == 0
    assert f"amg_fuse_ros {amg_fuse_ros.__version__}" in outcome.out
    assert re.search(r"^torch \d+\.\d+", outcome.out, re.MULTILINE)
    assert re.search(r"^engine eager: fp32 on (cpu|cuda)", outcome.out, re.MULTILINE)
    assert re.search(r"^(rclpy|cv_bridge|message_filters): (not )?installed", outcome.out, re.M)
    assert re.search(r"^ultralytics \(detector_node\) (\d|not installed)", outcome.out, re.M)
    assert re.search(r"^vision_msgs: (not )?installed", outcome.out, re.M)
    assert f"weights {random_weights}: size tiny, 4,933,853 parameters" in outcome.out
    assert "  data: none, these weights are random" in outcome.out


def test_info_about_a_missing_weights_file_still_tells_the_rest(amg_fuse, tmp_path):
    outcome = amg_fuse("info", "--weights", tmp_path / "none.pth")
    assert refused(outcome, tmp_path / "none.pth")
    assert "engine eager" in outcome.out
