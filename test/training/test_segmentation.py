"""Which input serves a segmentation network best: classes of pixels, one network each, its IoU."""

import json
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pair_trees
import pytest
from typer.testing import CliRunner

from training.detection.drawn import drawn_parts
from training.detection.parts import PairSettings
from training.segmentation.__main__ import app
from training.segmentation.learning import (
    SegmentationSettings,
    Segmented,
    intersection_over_union,
    look,
    train,
)
from training.segmentation.msrs import CLASSES, msrs_parts, read_classes
from training.segmentation.scores import ALL, compare, markdown


@pytest.fixture(scope="module", autouse=True)
def with_torchvision():
    if find_spec("torchvision") is None:
        pytest.skip("needs the extra train (pip install .[train])")


def msrs(root: Path) -> Path:
    for part, stems in (("train", ["00001D", "00101D", "00201N"]), ("test", ["00301D", "00401N"])):
        pair_trees.plain(root / part, stems)
        for number, stem in enumerate(stems):
            classes = np.zeros((48, 64), np.uint8)
            classes[10:30, 10:40] = number + 1
            pair_trees.write(root / part / "Segmentation_labels" / f"{stem}.png", classes)
    return root


def test_msrs_is_trained_on_in_two_versions_and_tested_in_each_weather(tmp_path):
    settings = PairSettings(CLASSES, ("clear", "haze"), side=32, validation_share=0.3)
    out = tmp_path / "pairs"
    report = msrs_parts(msrs(tmp_path / "MSRS"), out, settings)
    assert report.pairs == {"train": 4, "val": 2, "clear": 2, "haze": 2}
    for weather in ("clear", "haze"):
        (classes,) = (out / weather / "classes").glob("*00401N.png")
        read = cv2.imread(str(classes), cv2.IMREAD_UNCHANGED)
        assert read.shape == (24, 32)
        assert set(np.unique(read)) == {0, 2}
    assert msrs_parts(tmp_path / "MSRS", out, settings).pairs == report.pairs


def test_pairs_without_usable_classes_are_told_and_left_out(tmp_path):
    data = msrs(tmp_path / "MSRS")
    (data / "train" / "Segmentation_labels" / "00001D.png").unlink()
    pair_trees.write(data / "test/Segmentation_labels/00301D.png", np.full((48, 64), 9, np.uint8))
    settings = PairSettings(CLASSES, ("clear",), side=32, validation_share=0.5)
    report = msrs_parts(data, tmp_path / "pairs", settings)
    assert report.pairs["clear"] == 1
    assert len(report.without_labels) == 1
    assert "pairs that cannot be read, left out: " in str(report)
    empty = tmp_path / "empty"
    for part in ("train", "test"):
        pair_trees.plain(empty / part, ["00001D"])
    with pytest.raises(FileNotFoundError, match="expected Segmentation_labels"):
        msrs_parts(empty, tmp_path / "other", settings)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((48, 64), 9, np.uint8), "expected classes 0 to 8, found 9"),
        (np.zeros((24, 64), np.uint8), r"expected the pair's size \(48, 64\)"),
        (np.zeros((48, 64, 3), np.uint8), "expected a grey 8-bit image"),
    ],
)
def test_classes_that_cannot_be_are_refused(tmp_path, image, said):
    path = pair_trees.write(tmp_path / "classes.png", image)
    with pytest.raises(ValueError, match=said):
        read_classes(path, (48, 64))


def test_drawn_streets_say_what_every_pixel_shows(tmp_path):
    settings = PairSettings(("car", "person"), ("clear",), side=128)
    drawn_parts(tmp_path, settings, streets=2, test_streets=1, frames=1, segmented=True)
    (path,) = (tmp_path / "clear" / "classes").iterdir()
    classes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    (label,) = (tmp_path / "clear" / "labels").iterdir()
    boxed = {int(line.split()[0]) + 1 for line in label.read_text().splitlines()}
    assert boxed <= set(np.unique(classes)) <= {0, 1, 2}


def test_intersection_over_union_is_over_all_pixels_of_all_images():
    counts = [
        np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]]),
        np.array([[5, 0, 1], [4, 0, 0], [0] * 3]),
    ]
    np.testing.assert_allclose(intersection_over_union(counts), [11 / 18, 2 / 8, np.nan])


def test_a_network_learns_to_tell_a_bright_square_from_what_is_around_it(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(16):
        image = rng.integers(0, 60, (64, 64, 3), np.uint8)
        classes = np.zeros((64, 64), np.uint8)
        y, x = rng.integers(0, 32, 2)
        image[y : y + 32, x : x + 32] += 180
        classes[y : y + 32, x : x + 32] = 1
        pair_trees.write(tmp_path / f"images/{number:02d}.png", image)
        pair_trees.write(tmp_path / f"classes/{number:02d}.png", classes)
    folders = tmp_path / "images", tmp_path / "classes"
    network = train(*folders, 2, SegmentationSettings(20, 64, 64, 8))
    iou = intersection_over_union([one.counts for one in look(network, *folders, 2)])
    assert iou.min() > 0.5


def said(share: float) -> list[Segmented]:
    right = round(100 * share)
    counts = np.array([[400, 0], [100 - right, right]])
    return [Segmented(str(n), counts + n % 2 * np.eye(2, dtype=int)) for n in range(6)]


def test_the_gain_is_over_the_better_camera_with_its_interval():
    kinds = {"visible": 0.4, "thermal": 0.6, "fused": 0.8}
    table = {kind: {s: {"rain": said(share)} for s in (0, 1)} for kind, share in kinds.items()}
    rows = compare(table, resamples=20)
    *cameras, fused = rows["rain"]
    assert all(row.gain is None for row in cameras)
    assert fused.better == "thermal"
    assert 0 < fused.gain.low <= fused.gain.mean <= fused.gain.high
    assert fused.classes[1] == pytest.approx(0.8, abs=0.01)
    assert rows[ALL][2].miou.mean == pytest.approx(fused.miou.mean)
    assert "| rain | fused |" in markdown(rows, ("background", "car"))
    with pytest.raises(ValueError, match="other images"):
        compare({**table, "fused": {0: {"rain": said(0.5)[:3]}, 1: {}}}, resamples=2)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("segmentation")
    methods = root / "methods.yaml"
    methods.write_text("methods:\n  - {name: maximum, baseline: maximum}\n")
    command = (
        f"--out {root / 'run'} --methods {methods} --cache {root / 'cache'} --streets 4 "
        "--test-streets 2 --frames 1 --weathers clear,fog --side 64 --epochs 1 --batch 2 "
        "--seeds 1 --resamples 4"
    ).split()
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return root / "run", command


def test_an_experiment_leaves_a_table_class_by_class_and_goes_on_where_it_was(experiment):
    out, command = experiment
    table = (out / "segmentation.md").read_text()
    assert table.startswith("| weather | input | mIoU | gain | background | person | bicycle | car")
    numbers = json.loads((out / "segmentation.json").read_text())
    assert [row["kind"] for row in numbers["fog"]] == ["visible", "thermal", "maximum"]
    kept = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    assert len(kept) == 3
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0, again.output
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == kept


def test_what_cannot_be_trained_on_ends_in_one_sentence(experiment, tmp_path):
    _, command = experiment
    nothing = CliRunner().invoke(app, [*command, "--data", str(tmp_path)])
    assert nothing.exit_code == 1
    assert "error: " in nothing.output
    assert "Traceback" not in nothing.output
    (tmp_path / "few").mkdir()
    pair_trees.write(tmp_path / "few/a.png", np.zeros((32, 32, 3), np.uint8))
    pair_trees.write(tmp_path / "classes/a.png", np.zeros((32, 32), np.uint8))
    small = SegmentationSettings(1, 32, 32, 2)
    with pytest.raises(ValueError, match=r"1 images; expected 2 \(batch\) or more"):
        train(tmp_path / "few", tmp_path / "classes", 2, small)
    with pytest.raises(ValueError, match="multiples of 32"):
        SegmentationSettings(1, 30, 32, 2)
