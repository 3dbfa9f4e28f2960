"""Both synchronizers, the own one and message_filters', keep the same promises."""

import itertools

import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amg_fuse_ros.ros import synchronizer
from amg_fuse_ros.ros.synchronizer import make_synchronizer

MILLISECOND = 1_000_000


def image(stamp_ns: int) -> Image:
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return Image(header=Header(stamp=Time(sec=sec, nanosec=nanosec)))


def stamp_ns(message: Image) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


class Recorder:
    """A synchronizer, fed by stamps in milliseconds, and the pairs it called back with."""

    def __init__(self, implementation: str, slop_ms: float = 20, queue: int = 10):
        self.pairs: list[tuple[Image, Image]] = []
        self.synchronizer = make_synchronizer(
            lambda *pair: self.pairs.append(pair),
            slop_s=slop_ms / 1000,
            queue=queue,
            implementation=implementation,
        )

    def thermal(self, *stamps_ms: float) -> None:
        for stamp in stamps_ms:
            self.synchronizer.add_thermal(image(round(stamp * MILLISECOND)))

    def rgb(self, *stamps_ms: float) -> None:
        for stamp in stamps_ms:
            self.synchronizer.add_rgb(image(round(stamp * MILLISECOND)))

    @property
    def stamps_ms(self) -> list[tuple[float, float]]:
        return [tuple(stamp_ns(m) / MILLISECOND for m in pair) for pair in self.pairs]

    @property
    def unpaired(self) -> tuple[int, int]:
        return self.synchronizer.unpaired_thermal, self.synchronizer.unpaired_rgb


HAS_MESSAGE_FILTERS = synchronizer.SYNCHRONIZER == "message_filters"


@pytest.fixture(
    scope="module", params=["own", "message_filters"] if HAS_MESSAGE_FILTERS else ["own"]
)
def implementation(request):
    return request.param


@pytest.fixture
def streams(implementation):
    return Recorder(implementation)


def test_equal_stamps_pair_whichever_comes_first(streams):
    streams.thermal(100)
    streams.rgb(100, 200)
    streams.thermal(200)
    assert streams.stamps_ms == [(100, 100), (200, 200)]
    assert streams.synchronizer.pairs == 2


def test_the_callback_gets_the_very_messages_thermal_first(streams):
    thermal, rgb = image(1_000), image(1_000)
    streams.synchronizer.add_rgb(rgb)
    streams.synchronizer.add_thermal(thermal)
    ((first, second),) = streams.pairs
    assert first is thermal
    assert second is rgb


def test_stamps_pair_up_to_the_slop_and_not_beyond(implementation):
    streams = Recorder(implementation, slop_ms=20)
    streams.thermal(100)
    streams.rgb(120.000001)
    assert streams.pairs == []
    streams.rgb(120)
    assert streams.stamps_ms == [(100, 120)]


def test_a_slop_of_zero_pairs_equal_stamps_only(implementation):
    streams = Recorder(implementation, slop_ms=0)
    streams.thermal(100, 200)
    streams.rgb(100.000001, 200)
    assert streams.stamps_ms == [(200, 200)]


def test_an_image_pairs_with_the_nearest_that_waits(streams):
    streams.rgb(85, 98, 110)
    streams.thermal(100)
    assert streams.stamps_ms == [(100, 98)]


def test_of_two_equally_near_the_first_to_come_is_taken(streams):
    streams.rgb(110, 90)
    streams.thermal(100)
    assert streams.stamps_ms == [(100, 110)]


def test_it_does_not_wait_for_a_nearer_image_that_may_come(streams):
    streams.rgb(85)
    streams.thermal(100)
    streams.rgb(100)
    assert streams.stamps_ms == [(100, 85)]


def test_each_image_is_used_once(streams):
    streams.thermal(100)
    streams.rgb(98, 100, 102)
    assert streams.stamps_ms == [(100, 98)]


def test_a_late_image_still_finds_its_partner(streams):
    streams.thermal(133, 100, 66)
    streams.rgb(100, 66, 133)
    assert streams.stamps_ms == [(100, 100), (66, 66), (133, 133)]
    assert streams.synchronizer.time_jumps == 0


def test_every_image_of_the_slower_stream_pairs_and_the_rest_is_counted(implementation):
    streams = Recorder(implementation, slop_ms=17)
    arrivals = [(i * 1000 / 30, streams.rgb) for i in range(300)]
    arrivals += [(5 + i * 1000 / 9, streams.thermal) for i in range(89)]
    for stamp, add in sorted(arrivals, key=lambda arrival: arrival[0]):
        add(stamp)
    assert streams.synchronizer.pairs == 89
    assert max(abs(t - r) for t, r in streams.stamps_ms) <= 17
    streams.synchronizer.reset()
    assert streams.unpaired == (0, 300 - 89)


def test_of_more_than_the_queue_the_oldest_stamps_leave_and_are_counted(implementation):
    streams = Recorder(implementation, queue=3)
    streams.thermal(0, 100, 300, 200, 400)
    assert streams.unpaired == (2, 0)
    streams.rgb(0, 100, 200, 300, 400)
    assert streams.stamps_ms == [(200, 200), (300, 300), (400, 400)]


def test_an_image_older_than_all_of_a_full_queue_is_not_paired(implementation):
    streams = Recorder(implementation, queue=2)
    streams.rgb(100)
    streams.thermal(200, 300, 100)
    assert streams.pairs == []
    assert streams.unpaired == (1, 0)


def test_an_image_of_the_same_stamp_replaces_the_one_that_waits(streams):
    first, second = image(1_000), image(1_000)
    streams.synchronizer.add_thermal(first)
    streams.synchronizer.add_thermal(second)
    streams.synchronizer.add_rgb(image(1_000))
    assert streams.pairs[0][0] is second
    assert streams.unpaired == (1, 0)


def test_slop_and_queue_may_change_while_images_wait(streams):
    streams.thermal(100, 200, 300)
    streams.synchronizer.queue = 2
    assert streams.unpaired == (1, 0)
    streams.rgb(250)
    assert streams.pairs == []
    streams.synchronizer.slop_s = 0.06
    streams.rgb(251)
    assert streams.stamps_ms == [(300, 251)]
    assert (streams.synchronizer.slop_s, streams.synchronizer.queue) == (0.06, 2)


@pytest.mark.parametrize("first", ["thermal", "rgb"])
def test_pairing_goes_on_at_once_each_time_a_bag_starts_over(implementation, first):
    # More RGB images than thermal ones leave RGB's queue full of late stamps.
    streams = Recorder(implementation, queue=5)
    thermal = [(stamp, streams.thermal) for stamp in range(10_000, 20_000, 100)]
    rgb = [(stamp, streams.rgb) for stamp in range(10_000, 20_000, 25)]
    order = thermal + rgb if first == "thermal" else rgb + thermal
    bag = sorted(order, key=lambda arrival: arrival[0])
    for stamp, add in bag * 3:
        add(stamp)
    assert streams.stamps_ms == [(stamp, stamp) for stamp in range(10_000, 20_000, 100)] * 3
    assert streams.synchronizer.time_jumps == 2


def test_images_of_the_old_time_that_straggle_behind_a_jump_do_no_harm(streams):
    streams.thermal(9_000, 9_100)
    streams.rgb(8_990)
    streams.thermal(0, 100)
    streams.rgb(9_100, 0, 100)
    assert streams.stamps_ms == [(9_000, 8_990), (0, 0), (100, 100)]
    assert streams.synchronizer.time_jumps == 1
    assert streams.unpaired == (1, 1)


def test_what_waited_before_a_jump_is_never_paired_after_it(streams):
    streams.rgb(9_000)
    streams.thermal(9_600, 9_000)
    assert streams.pairs == []
    assert streams.unpaired == (1, 1)


def test_going_back_in_small_steps_is_a_jump_too(streams):
    streams.rgb(9_000, 8_600)
    assert streams.synchronizer.time_jumps == 0
    streams.rgb(8_400)
    assert streams.synchronizer.time_jumps == 1


def test_every_jump_counts_when_the_other_stream_is_silent(streams):
    streams.rgb(9_000, 0, 9_000, 0)
    assert streams.synchronizer.time_jumps == 2


def test_a_jump_after_the_streams_met_again_counts(streams):
    streams.thermal(9_000, 5_000)
    streams.rgb(5_000)  # RGB's clock was right all along
    streams.rgb(1_000)
    assert streams.synchronizer.time_jumps == 2


def test_pairing_goes_on_at_once_when_time_jumps_forwards(streams):
    streams.thermal(*range(0, 2_000, 100))
    streams.rgb(1_000_000)
    streams.thermal(1_000_000)
    assert streams.stamps_ms == [(1_000_000, 1_000_000)]
    assert streams.synchronizer.time_jumps == 0


def test_zero_is_a_stamp_like_others(streams):
    streams.thermal(0)
    streams.rgb(0)
    assert streams.stamps_ms == [(0, 0)]


def test_images_of_negative_stamps_leave_unpaired(streams):
    streams.thermal(-100, 50)
    streams.rgb(-100, 50)
    assert streams.stamps_ms == [(50, 50)]
    assert streams.unpaired == (1, 1)
    assert streams.synchronizer.time_jumps == 0


def test_reset_forgets_waiting_images_and_time(streams):
    streams.thermal(9_000)
    streams.synchronizer.reset()
    streams.rgb(9_000)
    streams.synchronizer.reset()
    assert streams.pairs == []
    assert streams.unpaired == (1, 1)
    streams.thermal(0)
    streams.rgb(0)
    assert streams.stamps_ms == [(0, 0)]
    assert streams.synchronizer.time_jumps == 0


def test_an_error_in_the_callback_reaches_the_caller_and_the_next_pair_comes(implementation):
    received = []

    def fail_at_first(thermal, rgb):
        received.append((thermal, rgb))
        if len(received) == 1:
            raise RuntimeError("no room")

    pairing = make_synchronizer(fail_at_first, slop_s=0.01, queue=5, implementation=implementation)
    pairing.add_thermal(image(1_000))
    with pytest.raises(RuntimeError, match="no room"):
        pairing.add_rgb(image(1_000))
    pairing.add_thermal(image(2_000))
    pairing.add_rgb(image(2_000))
    assert [stamp_ns(thermal) for thermal, _ in received] == [1_000, 2_000]
    assert (pairing.pairs, pairing.unpaired_thermal, pairing.unpaired_rgb) == (2, 0, 0)


def test_the_callback_may_reset(implementation):
    pairing = make_synchronizer(
        lambda *_: pairing.reset(), slop_s=0.01, queue=5, implementation=implementation
    )
    pairing.add_thermal(image(500_000_000))
    pairing.add_thermal(image(1_000))
    pairing.add_rgb(image(1_000))
    assert (pairing.pairs, pairing.unpaired_thermal, pairing.unpaired_rgb) == (1, 1, 0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("slop_s", -0.001), ("slop_s", float("nan")), ("slop_s", float("inf")), ("queue", 0)],
)
def test_a_bad_setting_is_refused_and_the_old_one_stays(streams, setting, value):
    before = getattr(streams.synchronizer, setting)
    with pytest.raises(ValueError, match=str(value)):
        setattr(streams.synchronizer, setting, value)
    assert getattr(streams.synchronizer, setting) == before


def test_an_unknown_implementation_is_refused():
    with pytest.raises(ValueError, match=r"exact.*message_filters and own"):
        Recorder("exact")


@pytest.mark.skipif(HAS_MESSAGE_FILTERS, reason="message_filters is installed")
def test_asking_for_message_filters_where_it_is_missing_says_what_to_install():
    with pytest.raises(ImportError, match="ros-<distro>-message-filters"):
        Recorder("message_filters")


# Few distinct values, so that stamps collide, distances equal the slop and queues overflow.
STAMPS = st.one_of(
    st.integers(0, 60).map(lambda tenth: tenth * 10 * MILLISECOND),
    st.integers(-2_000, 4_000).map(lambda millisecond: millisecond * MILLISECOND),
    st.integers(0, 2**31 * 1_000_000_000 - 1),
)
ARRIVALS = st.lists(st.tuples(st.sampled_from(["add_thermal", "add_rgb"]), STAMPS), max_size=80)
SLOPS_MS = st.integers(0, 50)
QUEUES = st.integers(1, 6)


@settings(deadline=None)
@given(arrivals=ARRIVALS, slop_ms=SLOPS_MS, queue=QUEUES)
def test_whatever_arrives_pairs_keep_to_the_slop_use_no_image_twice_and_the_rest_is_counted(
    implementation, arrivals, slop_ms, queue
):
    streams = Recorder(implementation, slop_ms, queue)
    added = {"add_thermal": [], "add_rgb": []}
    for add, stamp in arrivals:
        message = image(stamp)
        added[add].append(message)
        getattr(streams.synchronizer, add)(message)
    for side, add in enumerate(["add_thermal", "add_rgb"]):
        used = {id(pair[side]) for pair in streams.pairs}
        assert len(used) == len(streams.pairs)
        assert used <= {id(message) for message in added[add]}
        waiting = len(added[add]) - len(used) - streams.unpaired[side]
        assert 0 <= waiting <= queue
    for thermal, rgb in streams.pairs:
        assert abs(stamp_ns(thermal) - stamp_ns(rgb)) <= slop_ms * MILLISECOND
    streams.synchronizer.reset()
    assert streams.unpaired == tuple(
        len(messages) - len(streams.pairs) for messages in added.values()
    )


@settings(deadline=None)
@given(
    data=st.data(),
    jitter_ms=st.lists(st.integers(-5, 5), min_size=20, max_size=20),
)
def test_streams_of_one_rate_pair_frame_by_frame_in_whatever_order_they_arrive(
    implementation, data, jitter_ms
):
    streams = Recorder(implementation, slop_ms=12, queue=10)
    frames = [
        (side, frame, 33 * (frame + 1) + jitter)
        for (side, frame), jitter in zip(
            itertools.product(["thermal", "rgb"], range(10)), jitter_ms, strict=True
        )
    ]
    for side, _, stamp in data.draw(st.permutations(frames)):
        getattr(streams, side)(stamp)
    expected = {(side, frame): stamp for side, frame, stamp in frames}
    assert sorted(streams.stamps_ms) == [
        (expected["thermal", frame], expected["rgb", frame]) for frame in range(10)
    ]


@pytest.mark.skipif(
    not HAS_MESSAGE_FILTERS,
    reason="message_filters is not installed, so only the own synchronizer is tested",
)
@settings(max_examples=500, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["add_thermal", "add_rgb"]), STAMPS),
            st.tuples(st.just("slop_s"), SLOPS_MS),
            st.tuples(st.just("queue"), QUEUES),
            st.tuples(st.just("reset"), st.none()),
        ),
        max_size=80,
    )
)
def test_both_implementations_call_back_with_the_same_pairs_and_count_the_same(steps):
    own, filters = Recorder("own"), Recorder("message_filters")
    for what, value in steps:
        for streams in (own, filters):
            if what == "reset":
                streams.synchronizer.reset()
            elif what == "queue":
                streams.synchronizer.queue = value
            elif what == "slop_s":
                streams.synchronizer.slop_s = value / 1000
            else:
                getattr(streams.synchronizer, what)(image(value))
        assert own.stamps_ms == filters.stamps_ms
        assert own.unpaired == filters.unpaired
        assert own.synchronizer.time_jumps == filters.synchronizer.time_jumps


def test_a_fixed_error_of_the_thermal_clock_is_taken_out(implementation):
    recorder = Recorder(implementation)
    recorder.synchronizer.offset_s = 0.5
    for start in range(0, 1000, 100):
        recorder.rgb(10_000 + start)
        recorder.thermal(9_500 + start + 7)
    assert recorder.stamps_ms == [
        (9_507.0 + start, 10_000.0 + start) for start in range(0, 1000, 100)
    ]
    recorder.synchronizer.offset_s = 0.0
    recorder.rgb(20_000)
    recorder.thermal(19_500)
    assert len(recorder.pairs) == 10
