"""Which input serves a detector best: pairs in weather, one detector each, and what it gains."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pair_trees
import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from amg_fuse_ros.network import load_weights
from amg_fuse_ros.network.checkpoint import read_card, save_weights
from amg_fuse_ros.network.nano import Nano
from training.benchmark.identity import FusedStore
from training.benchmark.methods import Method
from training.detection.__main__ import app
from training.detection.cells import Cell
from training.detection.contrast import contrast
from training.detection.drawn import drawn_parts
from training.detection.inputs import make_inputs
from training.detection.parts import PairSettings
from training.detection.recorded import in_weather, recorded_parts
from training.detection.report import findings, markdown
from training.detection.scores import ALL, compare
from training.detection.task_aware import TaskSettings, fit
from training.detection.yolo_training import (
    THRESHOLDS,
    DetectionLoss,
    ImageOutcome,
    YoloSettings,
    average_precision,
    look,
)
from training.segmentation.__main__ import app as segmentation

ROOT = Path(__file__).resolve().parents[2]
STEMS = ["000001", "010001", "020001", "030001", "040001", "050001"]
AVERAGE = Method("average", "baseline", "average")
SMALL = PairSettings(("car", "person"), ("clear", "fog"), side=64)


@pytest.fixture(scope="module", autouse=True)
def with_ultralytics():
    if find_spec("ultralytics") is None:
        pytest.skip("needs the extra detect (pip install .[detect])")


def recordings(root: Path, stems: list[str]) -> Path:
    pair_trees.plain(root / "street", stems)
    (root / "classes.txt").write_text("person\ncar\n")
    (root / "street" / "labels").mkdir()
    for stem in stems:
        text = "1 0.5 0.5 0.25 0.5\n0 0.2 0.3 0.1 0.2\n1 2 2 0.1 0.1\n"
        (root / "street" / "labels" / f"{stem}.txt").write_text(text)
    return root


def stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.iterdir() if path.suffix != ".cache")


def test_recorded_pairs_are_trained_on_clear_and_in_weather_and_tested_in_each_weather(tmp_path):
    data = recordings(tmp_path / "data", STEMS)
    test = recordings(tmp_path / "test", ["000009"])
    out = tmp_path / "pairs"
    settings = PairSettings(("car", "person"), ("clear", "snow", "night"), side=32, versions=3)
    report = recorded_parts(data, test, out, settings)
    assert report.pairs == {"train": 15, "val": 3, "clear": 1, "snow": 1, "night": 1}
    assert report.boxes["train"] == {"car": 15, "person": 15}
    assert report.lines_left_out == len(STEMS) + 3  # once for a pair, in each test weather
    shown = {
        weather: cv2.imread(str(out / weather / "vi" / "street__000009.png")).astype(int)
        for weather in ("clear", "snow", "night")
    }
    assert shown["clear"].shape == (24, 32, 3)
    assert np.abs(shown["snow"] - shown["clear"]).mean() > 3
    assert shown["night"].mean() < shown["clear"].mean()
    assert (out / "clear" / "labels" / "street__000009.txt").read_text().startswith("0 0.5")
    assert not {s[:-3] for s in stems(out / "train" / "ir")} & {
        s[:-3] for s in stems(out / "val" / "ir")
    }


def test_the_same_pair_meets_the_same_weather_every_time():
    visible, thermal = pair_trees.picture(1), pair_trees.picture(2, channels=1)[..., 0]
    drawn = [in_weather(visible, thermal, "rain", np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    assert (drawn[0][1] != thermal).any()


def test_pairs_that_are_there_are_kept_and_those_made_otherwise_refused(tmp_path):
    out = tmp_path / "pairs"
    first = drawn_parts(out, SMALL, streets=3, test_streets=1, frames=1)
    picture = next((out / "train" / "vi").iterdir())
    picture.write_bytes(b"mine")
    again = drawn_parts(out, SMALL, streets=3, test_streets=1, frames=1)
    assert picture.read_bytes() == b"mine"
    assert again.pairs == first.pairs == {"train": 2, "val": 1, "clear": 1, "fog": 1}
    with pytest.raises(ValueError, match=r"drawn \[3, 1, 1\] there, \[4, 1, 1\] now"):
        drawn_parts(out, SMALL, streets=4, test_streets=1, frames=1)


def test_pairs_whose_making_was_interrupted_are_made_anew(tmp_path):
    out = tmp_path / "pairs"
    drawn_parts(out, SMALL, streets=2, test_streets=1, frames=1)
    (out / "pairs.json").unlink()
    (out / "train" / "vi" / "half.png").write_bytes(b"")
    drawn_parts(out, SMALL, streets=2, test_streets=1, frames=1)
    assert not (out / "train" / "vi" / "half.png").exists()
    other = tmp_path / "home"
    (other / "papers").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds other things"):
        drawn_parts(other, SMALL, streets=2, test_streets=1, frames=1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"weathers": ("hail",)}, "expected some of clear, fog, rain, snow, night"),
        ({"classes": ("tram",)}, "no class tram; streets have person, car, bicycle"),
        ({"classes": ()}, "at least one name"),
        ({"side": 8}, "a side of 32 or more"),
    ],
)
def test_settings_that_cannot_be_met_end_in_words(tmp_path, change, complaint):
    with pytest.raises(ValueError, match=complaint):
        drawn_parts(tmp_path / "pairs", PairSettings(**{**vars(SMALL), **change}), 2, 1, 1)
    assert not (tmp_path / "pairs").exists()


def test_pairs_without_labels_or_images_are_told_and_left_out(tmp_path):
    data = recordings(tmp_path / "data", STEMS)
    (data / "street" / "labels" / f"{STEMS[0]}.txt").unlink()
    test = recordings(tmp_path / "test", ["000008", "000009"])
    (test / "street" / "vi" / "000008.png").write_bytes(b"no image")
    settings = PairSettings(("car",), ("clear",), side=32, versions=1)
    report = recorded_parts(data, test, tmp_path / "pairs", settings)
    assert report.pairs["clear"] == 1
    assert "1 pairs without labels, left out: street/000001" in str(report)
    assert "1 pairs that cannot be read, left out: street/000008" in str(report)


def test_every_input_shows_the_same_pairs_with_the_same_boxes(tmp_path):
    parts = tmp_path / "pairs"
    drawn_parts(parts, SMALL, streets=3, test_streets=1, frames=1)
    broken = next((parts / "train" / "ir").iterdir())
    broken.write_bytes(b"no image")
    names = ["train", "val", "fog"]
    store = FusedStore(tmp_path / "store")
    inputs = make_inputs(parts, names, SMALL.classes, [AVERAGE], tmp_path / "inputs", store)
    assert list(inputs.folders) == ["visible", "thermal", "average"]
    assert inputs.left_out == [f"train/{broken.stem}"]
    assert "1 pairs that could not be fused, left out" in str(inputs)
    shown = {
        kind: [stems(folder / what / name) for what in ("images", "labels") for name in names]
        for kind, folder in inputs.folders.items()
    }
    assert shown["visible"] == shown["thermal"] == shown["average"]
    description = yaml.safe_load((inputs.folders["average"] / "fog.yaml").read_text())
    assert description["names"] == {0: "car", 1: "person"}
    assert description["test"] == "images/fog"


def test_luminance_alone_is_shown_in_the_colours_of_the_visible_camera(tmp_path):
    parts = tmp_path / "pairs"
    drawn_parts(parts, SMALL, streets=2, test_streets=1, frames=1)
    store = FusedStore(tmp_path / "store")
    names = ["train", "val"]
    inputs = make_inputs(parts, names, SMALL.classes, [AVERAGE], tmp_path / "inputs", store)
    image = cv2.imread(str(next((inputs.folders["average"] / "images/train").iterdir())))
    visible = cv2.imread(str(next((parts / "train/vi").iterdir())))
    chroma = [cv2.cvtColor(i, cv2.COLOR_BGR2YCrCb)[..., 1].astype(int) for i in (image, visible)]
    assert np.abs(chroma[0] - chroma[1]).mean() < 2


def outcome(name: str, right: int, wrong: int, missed: int, cls: int = 0) -> ImageOutcome:
    met = np.zeros((right + wrong, THRESHOLDS), bool)
    met[:right] = True
    scores = np.linspace(0.9, 0.5, right + wrong)
    found = np.full(right + wrong, cls)
    return ImageOutcome(name, met, scores, found, np.full(right + missed, cls))


def test_average_precision_is_that_of_the_precision_recall_curve():
    rates, precision = average_precision([outcome("a", 2, 0, 2), outcome("b", 0, 0, 0)], 2)
    np.testing.assert_allclose(precision[0], 0.5, atol=0.01)
    np.testing.assert_allclose(rates[0], [1, 0.5], atol=0.01)
    assert np.isnan(precision[1]).all()


def two_kinds(better: int, images: int = 12, seeds: int = 3) -> list[Cell]:
    """A fused input that finds ``better`` of four objects where a camera finds two."""
    return [
        Cell(
            kind,
            seed,
            {"rain": [outcome(f"{n:02d}", found, 1, 4 - found) for n in range(images)]},
        )
        for seed in range(seeds)
        for kind, found in (("visible", 2), ("thermal", 1), ("fused", better))
    ]


@pytest.mark.parametrize(
    ("better", "said"), [(4, "is better than"), (2, "cannot be told from"), (1, "is worse than")]
)
def test_the_gain_is_over_the_better_camera_with_its_interval(better, said):
    comparison = compare(two_kinds(better), ["car", "person"], resamples=40)
    assert comparison.counted == ("car",)
    assert comparison.shown == {"person": 0}
    *cameras, fused = comparison.rows["rain"]
    assert all(row.gain50 is None for row in cameras)
    assert fused.better50 == "visible"
    assert fused.gain50.low <= fused.gain50.mean <= fused.gain50.high
    assert any(said in line for line in findings(comparison))
    text = markdown(comparison)
    assert "| rain | visible |" in text
    assert f"| {ALL} | visible |" in text


def test_only_seeds_that_every_input_has_are_compared():
    cells = [cell for cell in two_kinds(3) if cell.seed == 0 or cell.kind != "fused"]
    assert compare(cells, ["car"], resamples=5).seeds == (0,)
    with pytest.raises(ValueError, match="no seed is finished for every input"):
        compare([c for c in cells if (c.kind == "fused") == (c.seed == 0)], ["car"], resamples=5)


def test_cells_that_saw_other_images_are_refused():
    cells = [*two_kinds(3, seeds=1)[:2], Cell("fused", 0, {"rain": [outcome("x", 1, 0, 0)]})]
    with pytest.raises(ValueError, match="not those of the other cells"):
        compare(cells, ["car"], resamples=5)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> tuple[Path, list[str]]:
    """A whole experiment on drawn streets, small: its folder and the command that made it."""
    root = tmp_path_factory.mktemp("detection")
    methods = root / "methods.yaml"
    methods.write_text("methods:\n  - {name: average, baseline: average}\n")
    command = (
        f"compare --out {root / 'run'} --methods {methods} --cache {root / 'cache'} --streets 4 "
        "--test-streets 2 --frames 1 --weathers clear,fog --classes person,car --side 64 "
        "--shared 1 --epochs 1 --width 0.0625 --seeds 1 --resamples 4"
    ).split()
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "cannot be told from the" in result.output
    return root / "run", command


def test_an_experiment_leaves_tables_numbers_and_a_detector_for_each_input(experiment):
    out, _ = experiment
    numbers = json.loads((out / "detection.json").read_text())
    assert numbers["made_with"]["training"]["width"] == 0.0625
    assert [row["kind"] for row in numbers["rows"]["fog"]] == ["visible", "thermal", "average"]
    assert {c["name"] for c in numbers["rows"]["fog"][0]["classes"]} == {"person", "car"}
    assert "| fog | average | car |" in (out / "detection.md").read_text()
    assert (out / "cells" / "average-s0.pt").is_file()
    shared = json.loads((out / "shared.json").read_text())
    assert shared["inputs"] == ["visible", "thermal", "average"]


def test_finished_cells_are_kept_and_those_of_other_settings_do_not_count(experiment):
    out, command = experiment
    places = [*(out / "cells").iterdir(), out / "shared.pt"]
    kept = {path: path.stat().st_mtime_ns for path in places}
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0, again.output
    assert {path: path.stat().st_mtime_ns for path in places} == kept
    other = CliRunner().invoke(app, [*command, "--epochs", "2", "--report-only"])
    assert other.exit_code == 1
    assert "no seed is finished" in other.output


def test_a_detector_is_trained_on_an_experiments_images_and_goes_out_as_onnx(experiment, tmp_path):
    out, _ = experiment
    options = ["--side", "64", "--epochs", "1", "--width", "0.0625"]
    start = ["--start", str(out / "cells" / "average-s0.pt")]
    onnx = tmp_path / "small.onnx"
    command = ["detector", str(out), str(onnx), "--input", "average", *options, *start]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "average, fog: mAP@.5 0." in result.output
    scores = json.loads(onnx.with_suffix(".json").read_text())["scores"]
    assert [score["weather"] for score in scores] == ["clear", "fog"]
    assert str(out).encode() not in onnx.read_bytes()
    dataset = out / "inputs" / "average" / "clear.yaml"
    seen = [look(path, dataset, 64) for path in (onnx.with_suffix(".pt"), onnx)]
    assert [one.name for one in seen[0]] == [one.name for one in seen[1]]
    again = CliRunner().invoke(app, ["detector", str(out), f"{onnx}2.onnx", "--input", "radar"])
    assert again.exit_code == 1
    assert "no input radar; it has average, thermal, visible" in again.output.replace("\n", " ")


def test_contrast_tells_how_far_objects_stand_out_of_what_is_around_them(tmp_path):
    image = np.full((60, 80, 3), 50, np.uint8)
    image[20:40, 30:50] = 150
    pair_trees.write(tmp_path / "images/fog/a.png", image)
    (tmp_path / "labels/fog").mkdir(parents=True)
    (tmp_path / "labels/fog/a.txt").write_text("0 0.5 0.5 0.25 0.3333\n1 0.1 0.8 0.1 0.1\n")
    found = contrast(tmp_path, "fog", ["car", "person", "bicycle"])
    assert found.by_class[0] > 2
    assert found.by_class[1] == 0
    assert np.isnan(found.by_class[2])
    with pytest.raises(FileNotFoundError, match="no part rain"):
        contrast(tmp_path, "rain", ["car"])


def test_the_contrast_of_an_experiments_inputs_is_told_as_a_table(experiment):
    out, _ = experiment
    result = CliRunner().invoke(app, ["contrast", str(out)])
    assert result.exit_code == 0, result.output
    assert "| fog | thermal |" in result.output
    assert CliRunner().invoke(app, ["contrast", str(out / "cells")]).exit_code == 1


def test_a_detectors_loss_changes_what_a_fusion_learns_and_can_be_switched_off(
    experiment, tmp_path
):
    out, _ = experiment
    data = recordings(tmp_path / "data", STEMS)
    begin = tmp_path / "nano.safetensors"
    torch.manual_seed(0)
    save_weights(Nano(), begin, {})
    pairs = PairSettings(("person", "car"), ("clear",))
    learned, told = [], []
    for number, weight in enumerate((0.0, 0.0, 50.0)):
        path = tmp_path / f"{number}.safetensors"
        task = TaskSettings(weight, 2, 2, 64, 64, learning_rate=1e-3)
        told.append(fit(data, begin, out / "cells" / "visible-s0.pt", path, pairs, task))
        assert read_card(path)["detector_weight"] == weight
        learned.append(torch.cat([v.flatten() for v in load_weights(path).state_dict().values()]))
    assert "detector" not in told[0]
    assert told[2]["detector"] > 0
    assert torch.equal(learned[0], learned[1])
    assert not torch.equal(learned[0], learned[2])


def test_a_detector_of_other_classes_is_no_judge(experiment):
    out, _ = experiment
    with pytest.raises(ValueError, match=r"knows .*person.*car"):
        DetectionLoss(out / "cells" / "visible-s0.pt", ["car"])


def test_the_detectors_loss_reaches_the_images_with_objects_and_without(experiment):
    out, _ = experiment
    judge = DetectionLoss(out / "cells" / "visible-s0.pt", ["person", "car"])
    images = torch.rand(2, 3, 64, 64, requires_grad=True)
    none = judge(images, [torch.zeros(0, 5)] * 2)
    some = judge(images, [torch.tensor([[1, 0.5, 0.5, 0.4, 0.4]]), torch.zeros(0, 5)])
    assert some.isfinite()
    assert none.isfinite()
    some.backward()
    assert images.grad.abs().sum() > 0


def test_bad_weights_data_and_options_end_in_one_sentence(experiment, tmp_path):
    _, command = experiment
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no network")
    for words, said in (
        ([*command, "--start", str(tmp_path / "none.pt")], "no such weights"),
        ([*command, "--start", str(broken)], "ultralytics cannot work with it"),
        ([*command, "--input", "radar"], "expected some of visible, thermal, average"),
        ([*command, "--data", str(tmp_path)], "--data and --test together"),
        ([*command, "--side", "100"], "a side that is a multiple of 32"),
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1, result.output
        assert said in result.output
        assert "Traceback" not in result.output


def test_classes_of_another_data_set_are_refused(experiment, tmp_path):
    out, _ = experiment
    content = yaml.safe_load((out / "inputs" / "visible" / "clear.yaml").read_text())
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**content, "names": {0: "dog", 1: "cat"}}))
    with pytest.raises(ValueError, match="the network knows"):
        look(out / "cells" / "visible-s0.pt", other, 64)


def test_nothing_is_written_into_the_users_home_and_nobody_called(tmp_path):
    code = (
        "from training.detection.yolo_training import average_precision as score\n"
        "import numpy as np, training.detection.yolo_training as module\n"
        "none = np.zeros(0, int)\n"
        "score([module.ImageOutcome('a', np.zeros((0, 10), bool), none, none, none + 0)], 1)\n"
        "import ultralytics; print(ultralytics.utils.ONLINE)"
    )
    unset = ("YOLO_CONFIG_DIR", "YOLO_OFFLINE", "XDG_CONFIG_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, cwd=ROOT, stdout=subprocess.PIPE
    )
    assert done.stdout.split() == [b"False"]
    assert not [path for path in tmp_path.rglob("*") if "ltralytics" in path.name]


def documented(module: str) -> list[list[str]]:
    page = (ROOT / "docs" / "detection-experiments.md").read_text()
    lines = re.findall(rf"^python -m training\.{module} (.+)$", page, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("words", documented("detection"), ids=lambda words: words[0])
def test_every_documented_command_and_option_exists(words):
    name, *rest = words
    command = typer.main.get_command(app).commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def test_the_documented_segmentation_exists():
    ((*words,),) = documented("segmentation")
    options = {o for p in typer.main.get_command(segmentation).params for o in p.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("change", [{"epochs": 0}, {"width": 0.0}, {"precision": "int8"}])
def test_settings_of_a_training_are_checked(change):
    with pytest.raises(ValueError, match="expected"):
        YoloSettings(**change)
