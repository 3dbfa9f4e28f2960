"""What engines tell while they get ready is in the node's log."""

import logging

import pytest

rclpy_logging = pytest.importorskip("rclpy.logging", reason="no ROS here")

from amg_fuse_ros.ros.library_log import LIBRARY, forward_library_log  # noqa: E402


@pytest.fixture
def library():
    logger = logging.getLogger(LIBRARY)
    before, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = before
    logger.setLevel(level)


def test_lines_of_every_severity_reach_the_nodes_log_once(library, capfd):
    for _ in range(2):
        forward_library_log(rclpy_logging.get_logger("fusion_node"))
    # not the engines' own: the command line, where its tests ran before, shows what that logs
    engine = logging.getLogger("amg_fuse_ros.an_engine")
    engine.info("building %s ...", "640x480")
    engine.warning("runs without CUDA graphs")
    engine.error("it failed")
    engine.debug("a detail")
    told = capfd.readouterr().err
    for severity, text in (
        ("INFO", "building 640x480 ..."),
        ("WARN", "runs without CUDA graphs"),
        ("ERROR", "it failed"),
    ):
        (line,) = (line for line in told.splitlines() if text in line)
        assert severity in line
        assert "fusion_node" in line
    assert "a detail" not in told
