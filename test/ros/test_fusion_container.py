"""Several camera pairs in one process share one network."""

import subprocess
import sys

import pytest
import rclpy
from node_harness import ROOT, NodeProcess, Rig, rgb_image, thermal_image

pytestmark = pytest.mark.ros

RUN = "from amg_fuse_ros.ros.executables import fusion_container as run; run()"


@pytest.fixture
def container(tmp_path, random_weights):
    rclpy.init()
    process = NodeProcess(
        tmp_path / "log.txt",
        ["-p", f"network.weights:={random_weights}", "-p", "diagnostics_period_s:=0.2"],
        ["-c", RUN, "front", "rear"],
    )
    yield process
    process.close()
    rclpy.try_shutdown()


def test_the_nodes_of_two_camera_pairs_fuse_side_by_side(container):
    rigs = [Rig("/front"), Rig("/rear")]
    try:
        container.wait_for_log("active:", times=2)
        for number, rig in enumerate(rigs):
            rig.wait_for_node()
            fused = rig.send_until_fused(
                thermal_image(1000 + number), rgb_image(1000 + number, 24, 40 + number)
            )
            assert fused.width == 40 + number
        for rig in rigs:
            assert rig.wait(
                lambda rig=rig: bool(rig.reports) and int(rig.diagnostics()["fused"]) >= 1
            )
        assert "/front/thermal/image_raw" in container.log
        assert "/rear/thermal/image_raw" in container.log
    finally:
        for rig in rigs:
            rig.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "usage: fusion_container"), (["front", "front"], "each namespace can be given once")],
)
def test_namespaces_that_cannot_be_are_said(arguments, words):
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments, "--ros-args"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stderr
