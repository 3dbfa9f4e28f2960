"""What a node says of its speed, from what it counted."""

from amg_fuse_ros.engine.progress import told
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


def test_what_is_dropped_while_an_engine_is_built_does_not_make_it_slow():
    statistics = Statistics()
    health = Health(defaults(), statistics, ClockOffset(), LatencyBudget(0.0))
    with told("building"):
        for _ in range(20):
            statistics.count("jobs")
            health.note_dropped()
        (fault,) = health.faults({}, None)
        assert "network.warm_up does that at start" in fault.text
    assert statistics.total("dropped") == 20
    assert not list(health.faults({}, None))
    statistics.count("jobs", 2)
    health.note_dropped()  # it waited when the build ended
    assert not list(health.faults({}, None))
    statistics.count("jobs", 2)
    health.note_dropped()
    (fault,) = health.faults({}, None)
    assert "50 %" in fault.text
