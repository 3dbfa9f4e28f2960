"""A slow thermal camera serves every image of a faster RGB camera."""

from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from amg_fuse_ros.ros.hold_thermal import HoldThermal

MS = 1_000_000


def image(stamp_ms):
    sec, nanosec = divmod(round(stamp_ms * MS), 1000 * MS)
    return CompressedImage(header=Header(stamp=Time(sec=sec, nanosec=nanosec)))


def stamp_ms(message):
    return message.header.stamp.sec * 1000 + message.header.stamp.nanosec / MS


class Recorder:
    def __init__(self, **options):
        self.pairs = []
        self.pairing = HoldThermal(
            lambda t, v: self.pairs.append((stamp_ms(t), stamp_ms(v))),
            **{"limit_s": 0.15, **options},
        )

    def thermal(self, *stamps):
        for stamp in stamps:
            self.pairing.add_thermal(image(stamp))

    def rgb(self, *stamps):
        for stamp in stamps:
            self.pairing.add_rgb(image(stamp))


def test_every_rgb_image_gets_the_newest_thermal_one():
    recorder = Recorder()
    for tick in range(0, 900, 33):
        if tick % 99 == 0:
            recorder.thermal(1000 + tick)
        recorder.rgb(1005 + tick)
    assert len(recorder.pairs) == 28
    assert all(0 < v - t <= 71 for t, v in recorder.pairs)
    assert (recorder.pairing.unpaired_rgb, recorder.pairing.unpaired_thermal) == (0, 0)


def test_a_thermal_image_that_is_too_old_is_not_used():
    recorder = Recorder()
    recorder.thermal(1000)
    recorder.rgb(1150, 1151)
    assert recorder.pairs == [(1000, 1150)]
    assert recorder.pairing.unpaired_rgb == 1


def test_rgb_images_before_the_first_thermal_one_are_counted():
    recorder = Recorder()
    recorder.rgb(1000, 1033)
    assert recorder.pairing.unpaired_rgb == 2


def test_thermal_images_that_nobody_used_are_counted():
    recorder = Recorder()
    recorder.thermal(1000, 1010, 1020)
    recorder.rgb(1021)
    recorder.pairing.reset()
    assert recorder.pairs == [(1020, 1021)]
    assert recorder.pairing.unpaired_thermal == 2


def test_an_older_thermal_image_does_not_replace_a_newer_one():
    recorder = Recorder()
    recorder.thermal(1000, 990)
    recorder.rgb(1001)
    assert recorder.pairs == [(1000, 1001)]


def test_a_bag_that_starts_over_is_followed():
    recorder = Recorder()
    for _ in range(3):
        for tick in range(0, 1000, 100):
            recorder.thermal(10_000 + tick)
            recorder.rgb(10_001 + tick)
    assert len(recorder.pairs) == 30
    assert recorder.pairing.time_jumps == 2


def test_a_fixed_error_of_the_thermal_clock_is_taken_out():
    recorder = Recorder(offset_s=-2.0)
    recorder.thermal(12_000)
    recorder.rgb(10_010)
    assert recorder.pairs == [(12_000, 10_010)]


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 5000)),
        max_size=60,
    )
)
def test_whatever_comes_no_pair_is_further_apart_than_the_limit_and_every_image_is_accounted_for(
    images,
):
    recorder = Recorder()
    for is_thermal, stamp in images:
        (recorder.thermal if is_thermal else recorder.rgb)(stamp)
    recorder.pairing.reset()
    assert all(abs(v - t) <= 150 for t, v in recorder.pairs)
    rgb = sum(not is_thermal for is_thermal, _ in images)
    assert len(recorder.pairs) + recorder.pairing.unpaired_rgb == rgb
    assert recorder.pairing.unpaired_thermal <= len(images) - rgb
    used = {t for t, _ in recorder.pairs}
    assert recorder.pairing.unpaired_thermal + len(used) <= len(images) - rgb
