"""What a node says of its speed, from what it counted."""

from amg_fuse_ros.latency_budget import LatencyBudget
from amg_fuse_ros.monitoring import ClockOffset, Statistics
from amg_fuse_ros.ros.health import Health
from amg_fuse_ros.settings import defaults


def test_dropped_is_a_share_of_what_was_to_be_made_of_pairs_and_of_single_images():
    statistics = Statistics()
    health = Health(defaults(), statistics, ClockOffset(), LatencyBudget(0.0))
    statistics.count("pairs", 10)  # then a camera went missing, and the other's images were held
    statistics.count("jobs", 40)
    statistics.count("dropped", 20)
    (fault,) = health.faults({}, None)
    assert "50 %" in fault.text
    statistics.count("jobs", 200)
    assert not list(health.faults({}, None))
