"""``amg-fuse`` on the command line: results under the promised names, errors in one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import typer
from rosbags.rosbag2 import StoragePlugin, Writer
from small_pairs import smooth_image, smooth_pair

import amg_fuse_ros
from amg_fuse_ros import cli
from amg_fuse_ros.bags import BagWriter, Header, Recording
from amg_fuse_ros.bags.recording import typestore
from amg_fuse_ros.imaging.visualize import mask_to_bytes
from amg_fuse_ros.settings import BY_NAME

ROOT = Path(__file__).resolve().parents[1]
SIZE = (24, 32)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def amg_fuse(monkeypatch, capsys):
    """Runs the command line in this process, as its console script does."""
    monkeypatch.setenv("COLUMNS", "300")  # so that no message is wrapped

    def run(*arguments) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["amg-fuse", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def network(random_weights):
    """Options that make the network quick."""
    return ["--weights", random_weights, "--scale", "0.5", "--device", "cpu"]


@pytest.fixture
def folders(tmp_path):
    """``--thermal`` and ``--rgb`` with the pairs a, b and c."""
    thermal, rgb = tmp_path / "thermal", tmp_path / "rgb"
    for seed, name in enumerate("abc"):
        write_pair(thermal / f"{name}.png", rgb / f"{name}.png", seed)
    return ["--thermal", thermal, "--rgb", rgb]


def write_pair(thermal_file, rgb_file, seed=0):
    thermal, rgb = smooth_pair(*SIZE, seed)
    write(thermal_file, thermal)
    write(rgb_file, rgb)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(outcome, *words):
    """One line of error that holds the words, and nothing else."""
    assert outcome.code == 1
    lines = outcome.err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    for word in words:
        assert str(word) in lines[-1]
    assert "Traceback" not in outcome.err
    return True


def test_pairs_are_fused_into_pngs_named_after_them(amg_fuse, folders, network, tmp_path):
    out = tmp_path / "results" / "fused"
    outcome = amg_fuse("fuse", *folders, "--out", out, *network)
    assert outcome.code == 0
    assert outcome.out == f"3 of 3 pairs fused into {out}\n"
    assert files_in(out) == ["a.png", "b.png", "c.png"]
    for name in "abc":
        assert cv2.imread(str(out / f"{name}.png"), cv2.IMREAD_UNCHANGED).shape == (*SIZE, 3)


def test_the_pngs_hold_what_the_fuser_returns_in_the_right_order_of_channels(
    amg_fuse, folders, network, random_weights, tmp_path
):
    from amg_fuse_ros.fusion import Fuser

    amg_fuse("fuse", *folders, "--out", tmp_path / "out", "--mask", *network)
    fuser = Fuser.from_options(weights=random_weights, scale=0.5, device="cpu")
    frame = fuser.fuse(*smooth_pair(*SIZE, seed=1))
    image = cv2.imread(str(tmp_path / "out" / "b.png"))[..., ::-1]
    np.testing.assert_array_equal(image, frame.image)
    mask = cv2.imread(str(tmp_path / "out" / "mask" / "b.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, mask_to_bytes(frame.mask))


def test_masks_and_panels_lie_beside_the_fused_images(amg_fuse, folders, network, tmp_path):
    out = tmp_path / "out"
    assert amg_fuse("fuse", *folders, "--out", out, "--mask", "--side-by-side", *network).code == 0
    assert files_in(out) == sorted(
        f"{folder}{name}.png" for folder in ("", "mask/", "side_by_side/") for name in "abc"
    )
    height, width = SIZE
    panels = cv2.imread(str(out / "side_by_side" / "a.png"))
    assert panels.shape[1] == 4 * width
    rgb = cv2.imread(str(folders[3] / "a.png"))
    np.testing.assert_array_equal(panels[-height:, :width], rgb)


def test_the_form_of_the_mask_can_be_chosen(amg_fuse, folders, network, tmp_path):
    masks = []
    for form in ("local", "paper"):
        out = tmp_path / form
        amg_fuse("fuse", *folders, "--out", out, "--mask", "--mask-form", form, *network)
        masks.append(cv2.imread(str(out / "mask" / "a.png"), cv2.IMREAD_UNCHANGED))
    assert (masks[0] != masks[1]).any()


def test_two_single_files_are_a_pair_whatever_their_names(amg_fuse, network, tmp_path):
    warm = 7000 + smooth_image(12, 16, top=2000, dtype=np.uint16)
    write(tmp_path / "t" / "flir_0001.tiff", warm)
    write(tmp_path / "v" / "left.png", smooth_image(*SIZE, 3))
    outcome = amg_fuse(
        *("fuse", "--thermal", tmp_path / "t" / "flir_0001.tiff"),
        *("--rgb", tmp_path / "v" / "left.png", "--out", tmp_path / "out", *network),
    )
    assert outcome.code == 0
    assert files_in(tmp_path / "out") == ["left.png"]
    assert cv2.imread(str(tmp_path / "out" / "left.png")).shape == (*SIZE, 3)


def test_what_has_no_partner_is_named_and_the_rest_is_fused(amg_fuse, folders, network, tmp_path):
    write(folders[1] / "only_thermal.png", smooth_image(*SIZE))
    write(folders[3] / "only [red] rgb.png", smooth_image(*SIZE, 3))
    outcome = amg_fuse("fuse", *folders, "--out", tmp_path / "out", *network)
    assert outcome.code == 0
    assert f"no partner, left out: {folders[1] / 'only_thermal.png'}\n" in outcome.err
    assert f"no partner, left out: {folders[3] / 'only [red] rgb.png'}\n" in outcome.err
    assert files_in(tmp_path / "out") == ["a.png", "b.png", "c.png"]


def test_an_unreadable_file_is_named_and_the_others_are_written(
    amg_fuse, folders, network, tmp_path
):
    (folders[3] / "a.png").write_bytes(b"no image")
    write(folders[1] / "b.png", smooth_image(*SIZE, 3))
    outcome = amg_fuse("fuse", *folders, "--out", tmp_path / "out", *network)
    assert outcome.code == 1
    assert re.search(r"left out: .*rgb/a\.png is not an image", outcome.err)
    assert re.search(r"left out: .*thermal/b\.png shows the temperatures in false col", outcome.err)
    assert outcome.out.startswith("1 of 3 pairs fused")
    assert files_in(tmp_path / "out") == ["c.png"]


def test_a_reduced_scale_is_said_and_the_full_one_is_not(amg_fuse, folders, network, tmp_path):
    outcome = amg_fuse("fuse", *folders, "--out", tmp_path / "out", *network)
    assert "fused at 0.5 of the RGB size" in outcome.err
    outcome = amg_fuse("fuse", *folders, "--out", tmp_path / "out", *network, "--scale", "1")
    assert outcome.err == ""


def test_results_never_overwrite_sources(amg_fuse, folders, network, tmp_path):
    thermal, rgb = folders[1], folders[3]
    for out in (thermal, rgb, tmp_path / "rgb" / ".." / "rgb"):
        assert refused(amg_fuse("fuse", *folders, "--out", out, *network), out, "name another")
    masks = rgb.rename(tmp_path / "mask")
    options = ["--thermal", thermal, "--rgb", masks, "--out", tmp_path, "--mask"]
    assert refused(amg_fuse("fuse", *options, *network), masks, "name another")
    assert (cv2.imread(str(masks / "a.png"))[..., ::-1] == smooth_pair(*SIZE, 0)[1]).all()


def test_folders_without_a_common_name_are_refused(amg_fuse, tmp_path):
    write_pair(tmp_path / "t" / "a.png", tmp_path / "v" / "b.png")
    folders = ["--thermal", tmp_path / "t", "--rgb", tmp_path / "v"]
    outcome = amg_fuse("fuse", *folders, "--out", tmp_path / "out")
    assert refused(outcome, tmp_path / "t", "nothing to fuse")
    assert "a.png" in outcome.err
    assert "b.png" in outcome.err


@pytest.mark.parametrize("name", ["missing", "[bold]missing[/bold]", "[/missing]"])
def test_a_missing_folder_is_named_as_it_was_given(amg_fuse, folders, tmp_path, name):
    outcome = amg_fuse("fuse", *folders[:2], "--rgb", tmp_path / name, "--out", tmp_path / "out")
    assert refused(outcome, f"{tmp_path / name} is not a folder of images")


def test_weights_that_cannot_be_used_are_named(amg_fuse, folders, tmp_path):
    missing, broken = tmp_path / "none.pth", tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    for file, words in ((missing, "no such weights file"), (broken, "truncated, or not weights")):
        outcome = amg_fuse("fuse", *folders, "--out", tmp_path / "out", "--weights", file)
        assert refused(outcome, file, words)
    assert not (tmp_path / "out").exists()


def test_what_cannot_run_on_this_machine_is_refused_with_advice(
    amg_fuse, folders, network, tmp_path
):
    options = ["fuse", *folders, "--out", tmp_path / "out", *network]
    outcome = amg_fuse(*options, "--precision", "fp16")
    assert refused(outcome, "fp16 needs a CUDA device; choose fp32 or bf16")
    assert refused(amg_fuse(*options, "--device", "cuda:99"), "choose device: cpu")


BAD_OPTIONS = [
    ("--scale", "2", "0.05 to 1.0, found 2.0"),
    ("--scale", "nan", "0.05 to 1.0, found nan"),
    ("--engine", "warp", "auto, eager"),
    ("--precision", "int8", "auto, fp32, bf16, fp16, fp64, found 'int8'"),
    ("--size", "huge", "auto, tiny, full, found 'huge'"),
    ("--mask-form", "nice", "local, paper, found 'nice'"),
    ("--slop-ms", "-1", "0.0 to 10000.0, found -1.0"),
]


@pytest.mark.parametrize(("option", "value", "words"), BAD_OPTIONS)
def test_a_value_beyond_its_range_is_refused_before_anything_is_loaded(
    amg_fuse, tmp_path, option, value, words
):
    outcome = amg_fuse("replay", tmp_path, "--out", tmp_path / "out", option, value)
    assert outcome.code == 2
    assert f"Invalid value for '{option}'" in outcome.err
    assert words in outcome.err


def make_bag(amg_fuse, folders, path):
    outcome = amg_fuse("make-bag", *folders, "--fps", "5", "--out", path)
    assert outcome.code == 0
    assert outcome.out == f"3 pairs at 5 Hz written to {path}\n"
    return path


def rewritten(bag, path, storage=StoragePlugin.MCAP, change=None):
    """The same recording, in another storage or with other bytes, by rosbags alone."""
    with (
        Recording(bag) as recording,
        Writer(path, version=9, storage_plugin=storage) as writer,
    ):
        connections = {
            topic: writer.add_connection(topic, msgtype, typestore=typestore())
            for topic, msgtype in recording.types().items()
        }
        for number, raw in enumerate(recording.messages()):
            data = change(number, raw.data) if change else raw.data
            writer.write(connections[raw.topic], raw.record_ns, data)
    return path


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_folders_become_a_bag_and_the_bag_is_fused_into_another(
    amg_fuse, folders, network, tmp_path, storage
):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    if storage == "sqlite3":
        bag = rewritten(bag, tmp_path / "older", StoragePlugin.SQLITE3)
    outcome = amg_fuse("replay", bag, "--out", tmp_path / "fused", *network)
    assert outcome.code == 0
    assert outcome.out.startswith(f"3 pairs fused into {tmp_path / 'fused'} in ")
    assert outcome.out.endswith("without partner: 0 thermal, 0 rgb; skipped: 0\n")
    assert "thermal /thermal/image_raw, rgb /rgb/image_raw" in outcome.err
    assert "fused at 0.5 of the RGB size" in outcome.err
    with Recording(tmp_path / "fused") as recording:
        assert recording.topics() == {"/fused/image": 3, "/fused/mask": 3}
        images = [recording.decode(raw) for raw in recording.messages(["/fused/image"])]
    assert {(image.height, image.width, image.encoding) for image in images} == {(*SIZE, "rgb8")}
    stamps = [image.header.stamp.sec * 10**9 + image.header.stamp.nanosec for image in images]
    assert np.diff(stamps).tolist() == [200_000_000] * 2


def test_a_replayed_bag_holds_the_images_that_fuse_writes(amg_fuse, folders, network, tmp_path):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    amg_fuse("replay", bag, "--out", tmp_path / "fused", "--copy-sources", *network)
    amg_fuse("fuse", *folders, "--out", tmp_path / "out", *network)
    with Recording(tmp_path / "fused") as recording:
        assert set(recording.topics()) == {
            *("/fused/image", "/fused/mask", "/rgb/image_raw", "/thermal/image_raw")
        }
        first = next(recording.messages(["/fused/image"]))
        pixels = recording.decode(first).data.reshape(*SIZE, 3)
    np.testing.assert_array_equal(pixels, cv2.imread(str(tmp_path / "out" / "a.png"))[..., ::-1])


def test_the_slop_decides_how_far_apart_the_images_of_a_pair_may_be(amg_fuse, network, tmp_path):
    thermal, rgb = smooth_pair(*SIZE)
    stamps = [10**18 + number * 500_000_000 for number in range(2)]
    with BagWriter(tmp_path / "bag") as writer:
        for stamp in stamps:
            late = stamp + 60_000_000
            writer.write_image("/ir/image_raw", thermal, "mono8", Header(stamp, "ir"), stamp)
            writer.write_image("/rgb/image_raw", rgb, "rgb8", Header(late, "rgb"), late)
    replay = ["replay", tmp_path / "bag", "--out", tmp_path / "fused", *network]
    assert refused(amg_fuse(*replay), "within 25 ms", "Raise the slop")
    assert amg_fuse(*replay, "--slop-ms", "70").out.startswith("2 pairs fused")


def test_a_bag_that_is_not_there_or_is_no_bag_is_refused(amg_fuse, folders, tmp_path):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    replay = ["replay", "--out", tmp_path / "fused"]
    assert refused(amg_fuse(*replay, tmp_path / "none"), f"there is no bag at {tmp_path / 'none'}")
    assert refused(amg_fuse(*replay, folders[1]), "without a metadata.yaml")
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-2000])
    assert refused(amg_fuse(*replay, bag), bag, "cut off")
    assert not (tmp_path / "fused").exists()


def test_topics_that_are_not_in_the_bag_are_refused_with_those_that_are(
    amg_fuse, folders, tmp_path
):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    outcome = amg_fuse("replay", bag, "--out", tmp_path / "fused", "--thermal-topic", "/ir")
    assert refused(outcome, "'/ir'", "/thermal/image_raw (3)", "/rgb/image_raw (3)")


def test_a_bag_is_never_overwritten(amg_fuse, folders, network, tmp_path):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    before = {path: path.read_bytes() for path in bag.iterdir()}
    assert refused(amg_fuse("make-bag", *folders, "--out", bag), bag, "exists already")
    assert refused(amg_fuse("replay", bag, "--out", bag, *network), bag, "exists already")
    assert {path: path.read_bytes() for path in bag.iterdir()} == before


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


def test_info_tells_versions_engines_and_the_weights_card(amg_fuse, random_weights):
    outcome = amg_fuse("info", "--weights", random_weights)
    assert outcome.code == 0
    assert f"amg_fuse_ros {amg_fuse_ros.__version__}" in outcome.out
    assert re.search(r"^torch \d+\.\d+", outcome.out, re.MULTILINE)
    assert re.search(r"^engine eager: fp32 on (cpu|cuda)", outcome.out, re.MULTILINE)
    assert re.search(r"^(rclpy|cv_bridge|message_filters): (not )?installed", outcome.out, re.M)
    assert f"weights {random_weights}: size tiny, 4,933,853 parameters" in outcome.out
    assert "  data: none, these weights are random" in outcome.out


def test_info_about_a_missing_weights_file_still_tells_the_rest(amg_fuse, tmp_path):
    outcome = amg_fuse("info", "--weights", tmp_path / "none.pth")
    assert refused(outcome, tmp_path / "none.pth")
    assert "engine eager" in outcome.out


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


COMMANDS = typer.main.get_command(cli.app).commands


def test_the_commands_are_those_of_the_documents():
    assert set(COMMANDS) == {"fuse", "replay", "make-bag", "make-scene", "info", "bench"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(amg_fuse, name):
    outcome = amg_fuse(name, "--help")
    assert outcome.code == 0
    assert COMMANDS[name].help in outcome.out
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert parameter.help in outcome.out


OPTION_OF_SETTING = {
    "weights": "network.weights",
    "size": "network.size",
    "scale": "network.scale",
    "engine": "engine",
    "device": "device",
    "precision": "precision",
    "mask_form": "mask.form",
    "slop_ms": "sync.slop_ms",
}


@pytest.mark.parametrize("command", ["fuse", "replay"])
def test_options_that_are_settings_have_their_default_and_description(command):
    options = {parameter.name: parameter for parameter in COMMANDS[command].params}
    for option, setting in OPTION_OF_SETTING.items():
        if option in options:
            assert options[option].default == BY_NAME[setting].default
            assert options[option].help == BY_NAME[setting].description
    assert OPTION_OF_SETTING.keys() - options.keys() <= {"slop_ms"}


def test_without_a_command_the_help_is_shown(amg_fuse):
    outcome = amg_fuse()
    for name in COMMANDS:
        assert name in outcome.out + outcome.err


def in_a_process(*command, **options):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_a_process_of_its_own_writes_its_results_and_ends_with_its_code(folders, network, tmp_path):
    (folders[3] / "b.png").write_bytes(b"")
    done = in_a_process(
        "-m", "amg_fuse_ros.cli", "fuse", *folders, "--out", tmp_path / "out", *network
    )
    assert done.returncode == 1
    assert done.stdout == f"2 of 3 pairs fused into {tmp_path / 'out'}\n"
    left_out, scale = done.stderr.splitlines()
    assert left_out.startswith("left out: ")
    assert "rgb/b.png" in left_out
    assert "0.5" in scale
    assert files_in(tmp_path / "out") == ["a.png", "c.png"]


def test_a_damaged_message_is_told_once_and_the_rest_is_fused(amg_fuse, folders, network, tmp_path):
    # In a process of its own: here pytest takes what the library logs.
    bag = rewritten(
        make_bag(amg_fuse, folders, tmp_path / "bag"),
        tmp_path / "hurt",
        change=lambda number, data: data[:60] if number == 2 else data,
    )
    done = in_a_process(
        *("-m", "amg_fuse_ros.cli", "replay", bag, "--out", tmp_path / "fused", *network)
    )
    assert done.returncode == 0
    assert done.stdout.startswith("2 pairs fused")
    assert done.stdout.endswith("skipped: 1\n")
    assert done.stderr.count("skipped a message on /thermal/image_raw") == 1


def test_help_is_quick_because_it_loads_neither_torch_nor_ros():
    code = (
        "import json, sys; from amg_fuse_ros import cli\n"
        "sys.argv = ['amg-fuse', 'fuse', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    loaded = json.loads(in_a_process("-c", code).stdout.splitlines()[-1])
    assert "typer" in loaded
    assert not {"torch", "rclpy", "numba"} & set(loaded)
