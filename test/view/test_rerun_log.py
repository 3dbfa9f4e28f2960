"""What is logged can be read back by Rerun, with its stamps and its pixels."""

import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from rrd_files import columns, jpeg, pixels, scalars

from amg_fuse_ros.bags import FramePair, Header
from amg_fuse_ros.view import RerunLog, ViewError

pytest.importorskip("rerun.chunk", reason="needs rerun-sdk: pip install 'amg_fuse_ros[view]'")

START_NS = 1_700_000_000_000_000_000
COUNTS = np.arange(29000, 29048, dtype=np.uint16).reshape(6, 8)
WALL = np.full((12, 16, 3), [200, 90, 20], np.uint8)
MASK = np.full((12, 16), 0.25, np.float32)


class Frame(NamedTuple):
    image: np.ndarray
    mask: np.ndarray
    timings: dict


def pair(number, stamp_ns=START_NS):
    stamp_ns += number * 1001
    headers = Header(stamp_ns - 5, "lwir"), Header(stamp_ns, "front")
    return FramePair(COUNTS + number, WALL, *headers, 77 + number)


def test_pairs_lie_on_the_timeline_of_their_stamps(tmp_path):
    with RerunLog(tmp_path / "night.rrd") as log:
        for number in range(3):
            timings = {"engine": 0.05 + number / 1e3, "total": 0.08}
            log.pair(pair(number), Frame(WALL[..., ::-1], MASK, timings))
    found = columns(tmp_path / "night.rrd")
    stamps = [START_NS + 1001 * number for number in range(3)]
    assert found["/thermal"]["stamp"] == [stamp - 5 for stamp in stamps]
    for entity in ("/rgb", "/fused", "/mask", "/latency_ms/engine", "/latency_ms/total"):
        assert found[entity]["stamp"] == stamps
    counts = found["/thermal"]["Image:buffer"]
    np.testing.assert_array_equal(pixels(counts[2], np.uint16, (6, 8)), COUNTS + 2)
    for entity, colours in (("/rgb", WALL), ("/fused", WALL[..., ::-1])):
        image = jpeg(found[entity]["EncodedImage:blob"][1])
        np.testing.assert_allclose(image.astype(int), colours, atol=4)
    mask = jpeg(found["/mask"]["EncodedImage:blob"][0])
    np.testing.assert_allclose(mask / 255, MASK, atol=0.01)
    milliseconds = scalars(found["/latency_ms/engine"]["Scalars:scalars"])
    np.testing.assert_allclose(milliseconds, [50, 51, 52])


def test_where_a_driver_does_not_stamp_the_record_time_counts(tmp_path):
    with RerunLog(tmp_path / "a.rrd") as log:
        unstamped = pair(0)._replace(thermal_header=Header(0, ""), rgb_header=Header(0, ""))
        log.pair(unstamped, Frame(WALL, MASK, {}))
    found = columns(tmp_path / "a.rrd")
    assert found["/thermal"]["stamp"] == found["/fused"]["stamp"] == [77]


def test_thermal_of_eight_bits_is_logged_as_such(tmp_path):
    grey = (COUNTS % 256).astype(np.uint8)
    with RerunLog(tmp_path / "a.rrd") as log:
        log.thermal(5, grey)
    buffer = columns(tmp_path / "a.rrd")["/thermal"]["Image:buffer"][0]
    np.testing.assert_array_equal(pixels(buffer, np.uint8, (6, 8)), grey)


def test_a_name_of_a_stage_makes_no_path_of_its_own(tmp_path):
    with RerunLog(tmp_path / "a.rrd") as log:
        log.latencies(5, {"engine p50/p95": 0.01})
    (entity,) = columns(tmp_path / "a.rrd")
    assert entity.count("/") == 3
    assert entity.startswith("/latency_ms/engine")


def test_the_views_come_with_the_file(tmp_path):
    import rerun.chunk

    with RerunLog(tmp_path / "a.rrd") as log:
        log.rgb(5, WALL)
    (blueprint,) = rerun.chunk.RrdReader(str(tmp_path / "a.rrd")).blueprints()
    assert blueprint.application_id == "amg_fuse_ros"


def test_an_exception_leaves_nothing(tmp_path):
    log = RerunLog(tmp_path / "a.rrd")
    log.rgb(5, WALL)
    with pytest.raises(KeyError), log:
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_finished_file_stands_alone_and_anybody_who_may_can_read_it(tmp_path):
    with RerunLog(tmp_path / "new" / "a.rrd") as log:
        log.rgb(5, WALL)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.rrd"]
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "new" / "a.rrd").stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_is_there_already_is_not_replaced(tmp_path):
    (tmp_path / "a.rrd").write_text("mine")
    with pytest.raises(ViewError, match=r"exists already; name another"):
        RerunLog(tmp_path / "a.rrd")
    assert (tmp_path / "a.rrd").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ViewError, match=r"a\.rrd cannot be written"):
        RerunLog(tmp_path / "file" / "a.rrd")


def test_an_address_that_is_none_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ViewError, match="Rerun cannot be used"):
        RerunLog(tmp_path / "a.rrd", viewer="nonsense")
    assert list(tmp_path.iterdir()) == []


def test_without_rerun_the_message_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['rerun'] = None\n"
        "from amg_fuse_ros.view import RerunLog, ViewError\n"
        "try: RerunLog(sys.argv[1])\n"
        "except ViewError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.rrd")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "pip install 'rerun-sdk" in said
    assert list(tmp_path.iterdir()) == []
