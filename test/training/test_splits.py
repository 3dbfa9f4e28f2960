import json
import logging

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_trees import plain, write, write_pair

from training.data.adapters import PairFiles, find_pairs
from training.data.fingerprints import Fingerprint, fingerprint_pairs, look_bits
from training.data.splits import manifest, merge_lookalikes, split_by_scene


def numbered(root, count, step=100):
    """Pairs that all look different and are each a scene of their own."""
    return plain(root, [f"{step * i:05}" for i in range(count)])


class TestSplit:
    def test_holds_out_whole_scenes_of_about_the_share(self, tmp_path):
        numbered(tmp_path / "d", 40, step=50)
        pairs = find_pairs(tmp_path)
        training, validation = split_by_scene(pairs, 0.1)
        assert sorted(f.name for f in training + validation) == sorted(f.name for f in pairs)
        assert 4 <= len(validation) <= 5
        assert not {f.scene for f in training} & {f.scene for f in validation}

    def test_is_the_same_every_time_and_in_any_order(self, tmp_path):
        numbered(tmp_path / "d", 30)
        pairs = find_pairs(tmp_path)
        _, once = split_by_scene(pairs, 0.2)
        _, again = split_by_scene(pairs[::-1], 0.2)
        assert once == again[::-1]

    def test_holds_out_the_smallest_scene_where_all_are_large(self, tmp_path):
        plain(tmp_path / "d", [f"{n:03}" for n in (0, 1, 2, 100, 101, 200, 201, 202)])
        _, validation = split_by_scene(find_pairs(tmp_path), 0.06)
        assert [f.name for f in validation] == ["d/100", "d/101"]

    def test_warns_when_there_is_but_one_scene(self, tmp_path, caplog):
        plain(tmp_path / "d", ["0", "1", "2"])
        training, validation = split_by_scene(find_pairs(tmp_path), 0.06)
        assert (len(training), validation) == (3, [])
        assert "other places" in caplog.text

    def test_holds_out_nothing_when_nothing_is_asked_for(self, tmp_path):
        numbered(tmp_path / "d", 5)
        training, validation = split_by_scene(find_pairs(tmp_path), 0)
        assert (len(training), validation) == (5, [])

    def test_names_what_is_held_out(self, tmp_path, caplog):
        numbered(tmp_path / "d", 30)
        with caplog.at_level(logging.INFO):
            _, validation = split_by_scene(find_pairs(tmp_path), 0.1)
        assert all(f.name in caplog.text for f in validation)

    def test_leaves_out_broken_pairs_by_name_and_moves_no_other(self, tmp_path, caplog):
        numbered(tmp_path / "d", 30)
        pairs = find_pairs(tmp_path)
        training, validation = split_by_scene(pairs, 0.1)
        broken = training[0]
        broken.visible.write_bytes(b"no image")
        now_training, now_validation = split_by_scene(pairs, 0.1)
        assert now_training == training[1:]
        assert now_validation == validation
        assert str(broken.visible) in caplog.text


class TestLookalikes:
    @pytest.mark.parametrize(
        "change",
        [
            lambda image: image,
            lambda image: cv2.resize(image, (80, 50), interpolation=cv2.INTER_AREA),
            lambda image: np.uint8(20 + 0.6 * image),
            lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [1, 40])[1], -1),
        ],
        ids=["copied", "resized", "dimmed", "compressed"],
    )
    def test_of_two_data_sets_become_one_scene(self, tmp_path, change):
        numbered(tmp_path / "one", 8)
        numbered(tmp_path / "two", 8)
        borrowed = find_pairs(tmp_path)[3]
        for kind in ("ir", "vi"):
            image = cv2.imread(str(tmp_path / f"one/{kind}/00300.png"), cv2.IMREAD_UNCHANGED)
            write(tmp_path / f"two/{kind}/00999.png", change(image))
        merged, heads = merge_lookalikes(find_pairs(tmp_path))
        scenes = {f.name: f.scene for f in merged}
        assert scenes["two/00999"] == scenes["one/00300"] == borrowed.scene == heads["two/9"]
        assert len(set(scenes.values())) == 16

    def test_join_through_a_third(self, tmp_path):
        plain(tmp_path / "d", ["000", "001", "100", "101"])
        for kind in ("ir", "vi"):  # scenes 0 and 2 share a picture, and so do 2 and 1
            for source, copy in (("001", "200"), ("101", "201")):
                image = (tmp_path / f"d/{kind}/{source}.png").read_bytes()
                (tmp_path / f"d/{kind}/{copy}.png").write_bytes(image)
        merged, _ = merge_lookalikes(find_pairs(tmp_path))
        assert {f.scene for f in merged} == {"d/0"}

    def test_never_stand_on_both_sides_of_a_split(self, tmp_path):
        numbered(tmp_path / "one", 20)
        for number in range(20):
            for kind in ("ir", "vi"):
                image = (tmp_path / f"one/{kind}/{100 * number:05}.png").read_bytes()
                copy = tmp_path / f"two/{kind}/{7000 + 100 * number}.png"
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(image)
        training, validation = split_by_scene(find_pairs(tmp_path), 0.2)
        assert len(validation) == 8
        seen = {f.thermal.read_bytes() for f in training}
        assert not seen & {f.thermal.read_bytes() for f in validation}

    @pytest.mark.shared
    def test_of_the_shared_data_are_found(self, shared_dir):
        merged, _ = merge_lookalikes(find_pairs(shared_dir / "data/train"))
        scene = {f.name: f.scene for f in merged}
        assert scene["awmm_clean/29"] == scene["msrs/00556D"], "a frame of MSRS within AWMM-100k"
        assert scene["llvip/010001"] == scene["llvip/010101"], "one fixed camera"
        assert scene["roadscene/FLIR_09512"] == scene["roadscene/FLIR_video_03894"]
        assert len(set(scene.values())) == 78, "and nothing else: 81 by their names"


@pytest.mark.shared
def test_the_validation_pairs_of_the_shared_data_stay(shared_dir):
    training, validation = split_by_scene(find_pairs(shared_dir / "data/train"))
    assert len(training) == 251
    assert [f.name for f in validation] == [
        "msrs/00730N",
        "msrs/00762N",
        *(f"roadscene/FLIR_0{n}" for n in (3801, 3813, 4208, 4215, 4229, 4269, 4285, 7427, 7433)),
        *(f"roadscene/FLIR_0{n}" for n in (8749, 8756, 8768, 9512, 9519, 9525, 9545, 9573)),
        *(f"roadscene/FLIR_video_0{n}" for n in (3894, 4215)),
    ]


class TestFingerprints:
    def test_leave_out_what_cannot_be_used_and_say_why(self, tmp_path, caplog):
        numbered(tmp_path / "d", 6)
        write(tmp_path / "d/vi/00100.png", np.zeros((10, 20, 3), np.uint8))
        (tmp_path / "d/ir/00200.png").write_bytes(b"")
        (tmp_path / "d/ir/00300.png").unlink()
        jpeg = tmp_path / "d/vi/00400.jpg"
        whole = cv2.imencode(".jpg", cv2.imread(str(tmp_path / "d/vi/00400.png")))[1].tobytes()
        jpeg.write_bytes(whole[: len(whole) // 2])
        (tmp_path / "d/vi/00400.png").unlink()
        (tmp_path / "d/ir/gone.png").write_bytes(b"x")
        pairs = [*find_pairs(tmp_path)]
        gone = tmp_path / "d/ir/gone.png"
        pairs.append(PairFiles("d/gone", "d/gone", gone, tmp_path / "d/vi/gone.png"))
        usable, prints = fingerprint_pairs(pairs)
        assert [f.name for f in usable] == ["d/00000", "d/00500"]
        assert [(p.height, p.width) for p in prints] == [(48, 64)] * 2
        assert "d/00100: expected images of one size" in caplog.text
        assert "10 x 20" in caplog.text
        assert "00200.png: cannot be read as an image" in caplog.text
        assert "00400.jpg: the image ends early" in caplog.text
        assert "gone.png: cannot be read" in caplog.text

    def test_are_remembered_in_a_file_until_an_image_changes(self, tmp_path):
        numbered(tmp_path / "d", 3)
        pairs, cache = find_pairs(tmp_path), tmp_path / "run/looks.json"
        _, first = fingerprint_pairs(pairs, cache)
        entries = json.loads(cache.read_text())
        assert len(entries) == 3
        assert {e["digest"] for e in entries.values()} == {p.digest for p in first}
        write_pair(pairs[0].thermal, pairs[0].visible, 99, height=50, width=70)
        _, second = fingerprint_pairs(pairs, cache)
        assert second[0] != first[0]
        assert (second[0].height, second[1:]) == (50, first[1:])
        assert len(json.loads(cache.read_text())) == 3

    @pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"a": {"b": 1}}'])
    def test_are_made_anew_when_the_file_is_damaged(self, tmp_path, content, caplog):
        numbered(tmp_path / "d", 2)
        cache = tmp_path / "looks.json"
        cache.write_text(content)
        _, prints = fingerprint_pairs(find_pairs(tmp_path / "d"), cache)
        assert len(prints) == 2
        assert "looking at all pairs again" in caplog.text

    def test_go_without_a_file_that_cannot_be_written(self, tmp_path, caplog):
        numbered(tmp_path / "d", 2)
        (tmp_path / "blocked").write_text("a file where a folder would be")
        usable, _ = fingerprint_pairs(find_pairs(tmp_path / "d"), tmp_path / "blocked/looks.json")
        assert len(usable) == 2
        assert "going on without" in caplog.text

    @given(st.integers(1, 5), st.integers(0, 2**32 - 1))
    def test_turn_looks_into_bits_and_back(self, count, seed):
        bits = np.random.default_rng(seed).integers(0, 2, (count, 576), np.uint8)
        prints = [Fingerprint(1, 1, "", np.packbits(row).tobytes().hex()) for row in bits]
        assert np.array_equal(look_bits(prints), bits)


class TestManifest:
    def test_counts_and_hashes_each_data_set(self, tmp_path):
        numbered(tmp_path / "one", 4)
        numbered(tmp_path / "two", 3)
        found = manifest(find_pairs(tmp_path))
        assert (found["pairs"], found["scenes"]) == (7, 7)
        assert list(found["datasets"]) == ["one", "two"]
        one = found["datasets"]["one"]
        assert (one["pairs"], one["scenes"], one["degraded"]) == (4, 4, 0)
        assert len(one["digest"]) == len(found["digest"]) == 16
        assert json.loads(json.dumps(found)) == found

    def test_changes_with_a_pixel_but_not_with_the_order(self, tmp_path):
        numbered(tmp_path / "one", 4)
        numbered(tmp_path / "two", 3)
        pairs = find_pairs(tmp_path)
        before = manifest(pairs)
        assert manifest(pairs[::-1]) == before
        image = cv2.imread(str(pairs[0].visible))
        image[0, 0, 0] ^= 1
        write(pairs[0].visible, image)
        after = manifest(pairs)
        assert after["digest"] != before["digest"]
        assert after["datasets"]["one"]["digest"] != before["datasets"]["one"]["digest"]
        assert after["datasets"]["two"] == before["datasets"]["two"]
