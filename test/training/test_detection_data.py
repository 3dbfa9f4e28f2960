"""From labelled pairs to data sets that ultralytics trains on."""

import os
from pathlib import Path

import cv2
import numpy as np
import pair_trees
import pytest
import yaml
from typer.testing import CliRunner

from training.detection import data as module
from training.detection.data import app, build_dataset
from training.detection.scene_pairs import write_scene_pairs

CLASSES = "person\nbicycle\ncar\nlamp\n"
STEMS = ["000001", "010001", "020001", "030001", "040001", "050001"]


@pytest.fixture
def labelled(tmp_path) -> Path:
    root = tmp_path / "recordings"
    pair_trees.plain(root / "street", STEMS)
    (root / "classes.txt").write_text(CLASSES)
    (root / "street" / "labels").mkdir()
    for stem in STEMS:
        line = "2 0.5 0.5 0.25 0.5\n0 0.2 0.3 0.1 0.2\n"
        (root / "street" / "labels" / f"{stem}.txt").write_text(line)
    return root


def label_file(root: Path, stem: str) -> Path:
    return root / "street" / "labels" / f"{stem}.txt"


def parts(out: Path, kind: str = "images") -> dict[str, list[str]]:
    folders = sorted((out / kind).iterdir())
    return {f.name: sorted(p.stem for p in f.iterdir() if p.suffix != ".cache") for f in folders}


def test_images_are_links_and_labels_carry_the_new_numbers(labelled, tmp_path):
    out = tmp_path / "out"
    report = build_dataset(labelled, out, "thermal", wanted=["car", "person"], validation_share=0.2)
    found = parts(out)
    assert found == parts(out, "labels")
    assert sum(map(len, found.values())) == len(STEMS)
    assert len(found["val"]) == 2
    for image in (out / "images" / "train").iterdir():
        assert image.is_symlink()
        assert image.resolve().parent.name == "ir"
        label = out / "labels" / "train" / f"{image.stem}.txt"
        assert label.read_text() == (
            "0 0.500000 0.500000 0.250000 0.500000\n1 0.200000 0.300000 0.100000 0.200000\n"
        )
    content = yaml.safe_load((out / "data.yaml").read_text())
    assert content["names"] == {0: "car", 1: "person"}
    assert content["path"] == str(out)
    assert report.labels["train"].boxes == {"car": 4, "person": 4}


def test_every_input_kind_is_split_alike(labelled, tmp_path):
    fused = tmp_path / "fused"
    for stem in STEMS:
        pair_trees.write(fused / "street" / f"{stem}.jpg", pair_trees.picture(1))
    splits = []
    for kind in ("visible", "thermal", str(fused)):
        out = tmp_path / f"out-{Path(kind).name}"
        build_dataset(labelled, out, kind, wanted=["car"], validation_share=0.2)
        splits.append(parts(out))
    assert splits[0] == splits[1] == splits[2]
    assert {p.resolve().suffix for p in (out / "images" / "train").iterdir()} == {".jpg"}


def test_frames_of_one_place_are_never_on_both_sides(tmp_path):
    root = tmp_path / "scenes"
    assert write_scene_pairs(root, range(4), 2, "fog", size=(48, 64)) == 8
    out = tmp_path / "out"
    report = build_dataset(root, out, validation_share=0.3, by_name=True)
    assert report.images == {"train": 6, "val": 2}
    sides = {
        part: {name.split("__")[1][:4] for name in names} for part, names in parts(out).items()
    }
    assert not sides["train"] & sides["val"]


def test_what_is_left_out_is_named_and_counted(labelled, tmp_path):
    label_file(labelled, STEMS[0]).unlink()
    label_file(labelled, STEMS[1]).write_text(
        "3 0.5 0.5 0.1 0.1\n"  # a lamp
        "9 0.5 0.5 0.1 0.1\n"  # no name
        "2 1.4 0.5 0.1 0.1\n"  # outside
        "2 0.95 0.5 0.3 0.2\n"  # across the border
        "2 nan 0.5 0.1 0.1\n"
        "2 0.5 0.5 0 0.1\n"
        "car 0.5 0.5 0.1 0.1\n"
        "\n"
    )
    out = tmp_path / "out"
    report = build_dataset(labelled, out, wanted=["car"], validation_share=0.2)
    text = str(report)
    assert report.without_labels == ["street/000001"]
    assert "1 pairs without labels, left out: street/000001" in text
    assert "person 4" in text
    assert "lamp 1" in text
    assert "class 9 1" in text
    assert f"1 boxes outside their image, left out: labels/{STEMS[1]}.txt:3" in text.replace(
        "street/", "labels/"
    )
    assert "1 boxes cut at the border of their image" in text
    assert "3 label lines that are no box, left out" in text
    (written,) = (out / "labels").rglob(f"*{STEMS[1]}.txt")
    assert written.read_text() == "0 0.900000 0.500000 0.200000 0.200000\n"


def test_an_image_without_objects_stays_as_background(labelled, tmp_path):
    label_file(labelled, STEMS[2]).write_text("")
    out = tmp_path / "out"
    build_dataset(labelled, out, wanted=["car"], validation_share=0.2)
    (written,) = (out / "labels").rglob(f"*{STEMS[2]}.txt")
    assert written.read_text() == ""


def test_fused_images_that_are_missing_are_named(labelled, tmp_path):
    fused = tmp_path / "fused"
    for stem in STEMS[:4]:
        pair_trees.write(fused / f"{stem}.png", pair_trees.picture(1))
    report = build_dataset(labelled, tmp_path / "out", str(fused), wanted=["car"])
    assert report.without_image == ["street/040001", "street/050001"]
    assert sum(report.images.values()) == 4


def test_sixteen_bit_thermal_images_are_written_in_eight(labelled, tmp_path):
    raw = np.linspace(28000, 31000, 48 * 64).reshape(48, 64).astype(np.uint16)
    assert cv2.imwrite(str(labelled / "street" / "ir" / f"{STEMS[0]}.png"), raw)
    out = tmp_path / "out"
    build_dataset(labelled, out, "thermal", wanted=["car"], validation_share=0.2)
    (written,) = (out / "images").rglob(f"*{STEMS[0]}.png")
    image = cv2.imread(str(written), cv2.IMREAD_UNCHANGED)
    assert not written.is_symlink()
    assert image.dtype == np.uint8
    assert image.max() - image.min() > 200


def test_a_test_set_is_asked_for_by_name_and_never_trained_on(labelled, tmp_path):
    test = tmp_path / "test"
    pair_trees.plain(test / "other", ["000007"])
    (test / "other" / "labels").mkdir()
    (test / "other" / "labels" / "000007.txt").write_text("2 0.5 0.5 0.2 0.2\n")
    (test / "classes.txt").write_text(CLASSES)
    out = tmp_path / "out"
    report = build_dataset(labelled, out, test=test, wanted=["car"])
    assert parts(out)["test"] == ["other__000007"]
    assert report.images["test"] == 1
    assert yaml.safe_load((out / "data.yaml").read_text())["test"] == "images/test"
    with pytest.raises(ValueError, match="training must not see test images"):
        build_dataset(test, tmp_path / "second", wanted=["car"])


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"out": module.REPOSITORY / "runs" / "yolo"}, ValueError, "lies in the repository"),
        ({"input_kind": "fussed"}, FileNotFoundError, "visible, thermal or a folder"),
        ({"wanted": ["tram"]}, ValueError, "no class tram; the pairs have bicycle, car, lamp"),
        ({"validation_share": 1.0}, ValueError, "above 0 and below 1"),
    ],
)
def test_requests_that_cannot_be_met_end_in_words_and_write_nothing(
    labelled, tmp_path, change, error, complaint
):
    arguments = {"out": tmp_path / "out", **change}
    with pytest.raises(error, match=complaint):
        build_dataset(labelled, **arguments)
    assert not Path(arguments["out"]).exists()


def test_a_folder_in_use_is_not_written_into(labelled, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        build_dataset(labelled, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_one_place_alone_cannot_be_split(labelled, tmp_path):
    for stem in STEMS[1:]:
        label_file(labelled, stem).unlink()
    for by_name in (False, True):
        with pytest.raises(ValueError, match="no scene can be held out"):
            build_dataset(labelled, tmp_path / "out", wanted=["car"], by_name=by_name)


def test_pairs_without_class_names_end_in_words(labelled, tmp_path):
    (labelled / "classes.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no classes\.txt there or up to three"):
        build_dataset(labelled, tmp_path / "out")


def test_the_commands_draw_scenes_and_make_a_data_set_of_them(tmp_path):
    run = CliRunner().invoke
    drawn = run(
        app,
        ["scenes", str(tmp_path / "snow"), "--weather", "snow", "--streets", "4", "--frames", "1"],
    )
    assert drawn.exit_code == 0, drawn.output
    arguments = ["pairs", str(tmp_path / "snow"), str(tmp_path / "out"), "--by-name"]
    made = run(app, [*arguments, "--validation", "0.3"])
    assert made.exit_code == 0, made.output
    assert "train: 3 images" in made.output
    again = run(app, arguments)
    assert again.exit_code == 1
    assert "is not empty" in again.output
    wrong = run(app, ["scenes", str(tmp_path / "hail"), "--weather", "hail"])
    assert wrong.exit_code == 1
    assert "expected one of clear, fog, rain, snow" in wrong.output


def test_ultralytics_reads_the_same_boxes(labelled, tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_OFFLINE", os.environ.get("YOLO_OFFLINE", "true"))
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    pytest.importorskip("ultralytics", reason="needs the extra detect (pip install .[detect])")
    from ultralytics.data import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    out = tmp_path / "out"
    build_dataset(labelled, out, wanted=["car", "person"], validation_share=0.2)
    content = check_det_dataset(str(out / "data.yaml"), autodownload=False)
    read = YOLODataset(img_path=content["train"], data=content, task="detect", augment=False)
    assert len(read.labels) == 4
    for label in read.labels:
        assert label["cls"].ravel().tolist() == [0, 1]
        np.testing.assert_allclose(label["bboxes"][0], [0.5, 0.5, 0.25, 0.5])


@pytest.mark.shared
def test_the_shared_pairs_give_every_box_of_the_three_classes(shared_dir, tmp_path):
    report = build_dataset(shared_dir / "data" / "train", tmp_path / "out")
    taken = sum((labels.boxes for labels in report.labels.values()), module.Counter())
    assert sum(report.images.values()) > 195
    assert taken["car"] > 700
    assert taken["person"] > 500
    assert not any(labels.unreadable for labels in report.labels.values())
