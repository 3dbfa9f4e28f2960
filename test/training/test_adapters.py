import logging
from pathlib import Path

import pytest
from pair_trees import awmm, plain, write, write_pair
from pair_trees import picture as picture_of

from training.data.adapters import LAYOUTS, PairFiles, find_pairs


def names(pairs: list[PairFiles]) -> list[str]:
    return [files.name for files in pairs]


class TestPlainFolders:
    @pytest.mark.parametrize("thermal", ["ir", "thermal", "infrared", "IR", "Thermal"])
    @pytest.mark.parametrize("visible", ["vi", "visible", "rgb", "Vis", "RGB"])
    def test_are_found_by_the_usual_names_in_any_case(self, tmp_path, thermal, visible):
        plain(tmp_path / "mine", ["a", "b"], thermal, visible)
        [a, b] = find_pairs(tmp_path / "mine")
        assert names([a, b]) == ["mine/a", "mine/b"]
        assert a.thermal == tmp_path / "mine" / thermal / "a.png"
        assert a.visible == tmp_path / "mine" / visible / "a.png"
        assert a.degraded_visible is None
        assert a.dataset == "mine"

    def test_are_found_one_level_below_together(self, tmp_path):
        plain(tmp_path / "road", ["1"])
        plain(tmp_path / "yard", ["1"], "thermal", "rgb")
        assert names(find_pairs(tmp_path)) == ["road/1", "yard/1"]

    def test_match_files_of_different_formats_by_stem(self, tmp_path):
        write_pair(tmp_path / "d/ir/7.png", tmp_path / "d/vi/7.jpg", 0)
        [pair] = find_pairs(tmp_path)
        assert (pair.thermal.suffix, pair.visible.suffix) == (".png", ".jpg")

    def test_name_the_files_without_a_partner_and_leave_them_out(self, tmp_path, caplog):
        plain(tmp_path / "d", ["1", "2"])
        (tmp_path / "d/vi/2.png").unlink()
        write(tmp_path / "d/vi/lonely.png", picture_of(0))
        assert names(find_pairs(tmp_path)) == ["d/1"]
        assert "2, lonely" in caplog.text

    def test_other_files_are_no_images(self, tmp_path):
        plain(tmp_path / "d", ["1"])
        (tmp_path / "d/ir/notes.txt").write_text("x")
        (tmp_path / "d/labels").mkdir()
        assert names(find_pairs(tmp_path)) == ["d/1"]

    def test_share_a_scene_among_neighbouring_numbers(self, tmp_path):
        plain(tmp_path / "d", ["FLIR_00006", "FLIR_00018", "FLIR_00122", "kitchen"])
        scenes = [files.scene for files in find_pairs(tmp_path)]
        assert scenes == ["d/0", "d/0", "d/1", "d/kitchen"]

    def test_take_the_names_that_a_meta_list_gives(self, tmp_path):
        plain(tmp_path / "d", ["1", "2", "3"])
        (tmp_path / "d/meta").mkdir()
        (tmp_path / "d/meta/train.txt").write_text("1.png\n3.png\n")
        (tmp_path / "d/meta/val.txt").write_text("2.png\n")
        assert names(find_pairs(tmp_path / "d")) == ["d/1", "d/3"]
        assert names(find_pairs(tmp_path / "d", part="val")) == ["d/2"]


class TestPublicLayouts:
    def test_msrs_gives_its_train_part(self, tmp_path):
        for part, stem in (("train", "00001D"), ("train", "00003N"), ("test", "00004N")):
            folder = tmp_path / "MSRS" / part
            write_pair(folder / f"ir/{stem}.png", folder / f"vi/{stem}.png", 1)
            write(folder / f"Segmentation_labels/{stem}.png", picture_of(2, channels=1))
        pairs = find_pairs(tmp_path / "MSRS")
        assert names(pairs) == ["MSRS/00001D", "MSRS/00003N"]
        assert pairs[0].scene != pairs[1].scene, "day and night are two scenes"
        assert pairs == find_pairs(tmp_path / "MSRS", "msrs") == find_pairs(tmp_path)
        assert names(find_pairs(tmp_path / "MSRS/train")) == names(pairs)

    def test_llvip_gives_its_train_part_and_a_scene_for_each_camera(self, tmp_path):
        root = tmp_path / "LLVIP"
        for part, stem in (("train", "010001"), ("train", "010457"), ("train", "020001")):
            write_pair(root / f"infrared/{part}/{stem}.jpg", root / f"visible/{part}/{stem}.jpg", 1)
        write_pair(root / "infrared/test/190001.jpg", root / "visible/test/190001.jpg", 1)
        (root / "Annotations").mkdir()
        pairs = find_pairs(root)
        assert [(f.name, f.scene) for f in pairs] == [
            ("LLVIP/010001", "LLVIP/01"),
            ("LLVIP/010457", "LLVIP/01"),
            ("LLVIP/020001", "LLVIP/02"),
        ]
        assert pairs == find_pairs(root, "llvip")

    @pytest.mark.parametrize("folders", [("Ir", "Vis"), ("ir", "vi")])
    def test_m3fd_is_found_under_both_of_its_names(self, tmp_path, folders):
        root = plain(tmp_path / "M3FD_Detection", ["00000", "00471"], *folders)
        (root / "Annotation").mkdir()
        (root / "Annotation/00000.xml").write_text("<annotation/>")
        pairs = find_pairs(root)
        assert names(pairs) == ["M3FD_Detection/00000", "M3FD_Detection/00471"]
        assert pairs == find_pairs(root, "m3fd")

    def test_roadscene_takes_the_visible_images_of_the_thermal_size(self, tmp_path):
        root = plain(tmp_path / "RoadScene", ["FLIR_00006"], "cropinfrared", "crop_LR_visible")
        write(root / "crop_HR_visible/FLIR_00006.png", picture_of(0, 96, 128))
        [pair] = find_pairs(root)
        assert pair.visible.parent.name == "crop_LR_visible"
        assert [pair] == find_pairs(root, "roadscene")

    def test_awmm_gives_clean_degraded_and_fused_images(self, tmp_path):
        root = awmm(tmp_path / "AWMM", ["1", "2", "11"])
        pairs = find_pairs(root)
        assert names(pairs)[:4] == ["AWMM/Snow/1", "AWMM/Snow/11", "AWMM/Snow/2", "AWMM/Rain/1"]
        assert len(pairs) == 9
        first = pairs[0]
        assert {path.parent.name for path in first.paths} == {
            "gt_ir",
            "gt_vi",
            "ir",
            "vi",
            "pseudo_gt",
        }
        assert first.thermal.parent.name == "gt_ir"
        assert first.degraded_thermal is not None
        assert first.degraded_thermal.parent.name == "ir"
        assert {files.scene for files in pairs} == {"AWMM/0", "AWMM/1"}, "the weathers share scenes"

    def test_awmm_is_found_below_train_and_in_one_weather(self, tmp_path):
        awmm(tmp_path / "AWMM/train", ["1"], pseudo=False)
        everything = find_pairs(tmp_path / "AWMM", "awmm")
        assert names(everything) == ["AWMM/Snow/1", "AWMM/Rain/1", "AWMM/Haze/1"]
        assert everything[0].pseudo is None
        assert find_pairs(tmp_path / "AWMM/train") == everything
        assert find_pairs(tmp_path / "AWMM/train/Snow") == everything[:1]

    def test_awmm_leaves_out_what_lacks_its_degraded_image(self, tmp_path, caplog):
        root = awmm(tmp_path / "AWMM", ["1", "2"])
        (root / "Snow/vi/2.png").unlink()
        assert "AWMM/Snow/2" not in names(find_pairs(root))
        assert "AWMM/Snow" in caplog.text


class TestTestImages:
    def test_are_refused_below_a_folder_named_test(self, tmp_path):
        plain(tmp_path / "Test/road", ["1"])
        with pytest.raises(ValueError, match=r"'test'.*training must not"):
            find_pairs(tmp_path / "Test/road")
        with pytest.raises(ValueError, match="'test'"):
            find_pairs(tmp_path / "Test")
        assert names(find_pairs(tmp_path / "Test", allow_test=True)) == ["road/1"]

    def test_are_refused_through_links(self, tmp_path):
        plain(tmp_path / "test/road", ["1"])
        (tmp_path / "train").mkdir()
        (tmp_path / "train/road").symlink_to(tmp_path / "test/road")
        with pytest.raises(ValueError, match="'test'"):
            find_pairs(tmp_path / "train")

    def test_are_refused_file_by_file(self, tmp_path):
        plain(tmp_path / "test/road", ["1"])
        plain(tmp_path / "train/road", ["2"])
        (tmp_path / "train/road/vi/1.png").symlink_to(tmp_path / "test/road/vi/1.png")
        with pytest.raises(ValueError, match="'test'"):
            find_pairs(tmp_path / "train")

    def test_beside_training_folders_are_passed_by(self, tmp_path):
        plain(tmp_path / "road", ["1"])
        plain(tmp_path / "test", ["2"])
        assert names(find_pairs(tmp_path)) == ["road/1"]

    def test_of_a_split_data_set_are_given_only_when_asked_for_twice(self, tmp_path):
        for part in ("train", "test"):
            plain(tmp_path / "MSRS" / part, [part])
        with pytest.raises(ValueError, match="allow_test"):
            find_pairs(tmp_path / "MSRS", part="test")
        assert names(find_pairs(tmp_path / "MSRS", part="test", allow_test=True)) == ["MSRS/test"]

    @pytest.mark.shared
    def test_of_the_shared_data_are_refused(self, shared_dir):
        with pytest.raises(ValueError, match="'test'"):
            find_pairs(shared_dir / "data/test")


class TestHeldOutScenes:
    """Frames of RoadScene that show the scene of a pair which results are reported on."""

    def test_are_never_trained_on(self, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        plain(tmp_path / "RoadScene", ["FLIR_06128", "FLIR_06130"])
        assert names(find_pairs(tmp_path)) == ["RoadScene/FLIR_06130"]
        assert "RoadScene/FLIR_06128" in caplog.text

    def test_are_given_where_test_images_are(self, tmp_path):
        plain(tmp_path / "roadscene", ["FLIR_06128"])
        assert names(find_pairs(tmp_path, allow_test=True)) == ["roadscene/FLIR_06128"]

    def test_of_other_data_sets_by_that_name_stay(self, tmp_path):
        plain(tmp_path / "mine", ["FLIR_06128"])
        assert names(find_pairs(tmp_path)) == ["mine/FLIR_06128"]


class TestErrors:
    def test_say_what_was_looked_for_and_what_is_there(self, tmp_path):
        (tmp_path / "d/photos").mkdir(parents=True)
        (tmp_path / "d/readme.txt").write_text("x")
        with pytest.raises(FileNotFoundError) as error:
            find_pairs(tmp_path / "d")
        for layout in LAYOUTS.values():
            assert layout.expects in str(error.value)
        assert "photos/, readme.txt" in str(error.value)

    def test_a_forced_layout_looks_for_nothing_else(self, tmp_path):
        plain(tmp_path / "d", ["1"])
        with pytest.raises(FileNotFoundError, match="LLVIP") as error:
            find_pairs(tmp_path, "llvip")
        assert "MSRS" not in str(error.value)

    def test_an_unknown_layout_is_refused_with_the_known_ones(self, tmp_path):
        with pytest.raises(ValueError, match=r"roadscene.*found 'kitti'"):
            find_pairs(tmp_path, "kitti")

    def test_a_missing_folder_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            find_pairs(tmp_path / "nowhere")

    def test_many_files_without_partner_are_counted(self, tmp_path, caplog):
        plain(tmp_path / "d", ["1"])
        for number in range(30):
            write(tmp_path / f"d/ir/x{number:02}.png", picture_of(0, channels=1))
        with caplog.at_level(logging.WARNING):
            find_pairs(tmp_path)
        assert "x00, x01" in caplog.text
        assert "and 10 more" in caplog.text


@pytest.mark.shared
def test_the_shared_training_data_is_found_but_for_held_out_scenes(shared_dir: Path):
    pairs = find_pairs(shared_dir / "data/train")
    counts = {d: sum(f.dataset == d for f in pairs) for d in {f.dataset for f in pairs}}
    assert counts == {"roadscene": 192, "llvip": 32, "msrs": 34, "awmm_clean": 14}
