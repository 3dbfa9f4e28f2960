"""``amg-fuse make-bag`` and ``make-scene``: recordings without cameras."""

from command_line import files_in, refused


def test_a_bag_names_what_had_no_partner_and_needs_a_rate(amg_fuse, folders, tmp_path):
    (folders[1] / "b.png").unlink()
    outcome = amg_fuse("make-bag", *folders, "--out", tmp_path / "bag")
    assert outcome.code == 0
    assert f"no partner, left out: {folders[3] / 'b.png'}\n" in outcome.err
    assert outcome.out == f"2 pairs at 10 Hz written to {tmp_path / 'bag'}\n"
    for rate in ("0", "-3", "nan"):
        outcome = amg_fuse("make-bag", *folders, "--out", tmp_path / "other", "--fps", rate)
        assert refused(outcome, "fps")
    assert not (tmp_path / "other").exists()


def test_a_drawn_street_is_ready_to_be_fused(amg_fuse, network, tmp_path):
    street = tmp_path / "street"
    outcome = amg_fuse("make-scene", "--out", street, "--seconds", "0.1", "--weather", "rain")
    assert (outcome.code, outcome.out) == (0, f"1 frames written to {street}\n")
    assert {"thermal/000000.png", "rgb/000000.png", "labels/000000.txt"} < set(files_in(street))
    folders = ["--thermal", street / "thermal", "--rgb", street / "rgb"]
    outcome = amg_fuse("fuse", *folders, "--out", tmp_path / "out", *network, "--scale", "0.1")
    assert outcome.code == 0
    assert files_in(tmp_path / "out") == ["000000.png"]


def test_weather_that_cannot_be_drawn_is_refused_with_what_can(amg_fuse, tmp_path):
    options = ["make-scene", "--out", tmp_path / "street"]
    assert refused(amg_fuse(*options, "--weather", "hail"), "'hail'", "clear, fog, rain, snow")
    assert refused(amg_fuse(*options, "--time-of-day", "noon"), "'noon'", "day", "night")
