import json
import shutil

import cv2
import numpy as np
import pytest

from training.metrics import METRICS, score
from training.metrics.folder import ImageScore, mean_scores, read_image, score_folder

RNG = np.random.default_rng(3)


def scene(shape=(44, 52)):
    blurred = cv2.GaussianBlur(RNG.integers(0, 256, shape, dtype=np.uint8), None, 1.5)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX)


@pytest.fixture
def folders(tmp_path):
    """Pairs a and b with results: grey thermal PNG, colour visible PNG, fused BMP."""
    for name in ("a", "b"):
        write(tmp_path / "ir" / f"{name}.png", scene())
        write(tmp_path / "vi" / f"{name}.png", np.dstack([scene(), scene(), scene()]))
        write(tmp_path / "fused" / f"{name}.bmp", scene())
    return tmp_path


def write(path, image):
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), image)


def run(root, **options):
    options = {"jobs": 1, **options}
    return score_folder(root / "ir", root / "vi", root / "fused", **options)


def by_hand(root, name):
    files = root / "ir" / f"{name}.png", root / "vi" / f"{name}.png", root / "fused" / f"{name}.bmp"
    return score(*(read_image(path) for path in files))


def cached_files(cache):
    return sorted(cache.rglob("*.json"))


def test_each_pair_gets_the_scores_of_its_three_files(folders):
    assert run(folders) == [ImageScore(name, by_hand(folders, name)) for name in ("a", "b")]


def test_worker_processes_find_the_same_as_one(folders):
    assert run(folders, jobs=2) == run(folders, jobs=1)


def test_results_without_a_pair_and_other_files_are_passed_over(folders):
    write(folders / "fused" / "a_mask.png", scene())
    (folders / "ir" / "notes.txt").write_text("thermal")
    assert [row.name for row in run(folders)] == ["a", "b"]


def break_file(root):
    (root / "vi" / "a.png").write_bytes(b"no image")


def empty_file(root):
    (root / "fused" / "a.bmp").write_bytes(b"")


def shrink_result(root):
    write(root / "fused" / "a.bmp", scene((44, 51)))


def deepen_thermal(root):
    write(root / "ir" / "a.png", scene().astype(np.uint16) * 200)


def lose_result(root):
    (root / "fused" / "a.bmp").unlink()


def lose_visible(root):
    (root / "vi" / "a.png").unlink()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (break_file, "a.png: cannot be decoded"),
        (empty_file, "a.bmp: cannot be decoded"),
        (shrink_result, "thermal 52x44, visible 52x44, fused 51x44"),
        (deepen_thermal, "a.png: expected 8-bit values, found uint16"),
        (lose_result, "no image 'a' in"),
        (lose_visible, "no image 'a' in"),
    ],
)
def test_an_image_that_cannot_be_scored_is_named_and_the_rest_goes_on(folders, damage, problem):
    damage(folders)
    broken, good = run(folders, cache=folders / "cache")
    assert broken.name == "a"
    assert problem in broken.problem
    assert not broken.scores
    assert good == ImageScore("b", by_hand(folders, "b"))
    assert mean_scores([broken, good]) == good.scores


def test_a_missing_folder_is_named(folders):
    shutil.rmtree(folders / "fused")
    with pytest.raises(FileNotFoundError, match=r"fused: expected a folder of images"):
        run(folders)


def test_two_images_of_one_name_are_refused(folders):
    write(folders / "fused" / "a.png", scene())
    with pytest.raises(ValueError, match=r"one image per name, found a\.bmp and a\.png"):
        run(folders)


# The cache: tests plant recognisable scores in it to see what comes from there.


def plant(cache):
    planted = dict.fromkeys(METRICS, 0.125)
    for path in cached_files(cache):
        path.write_text(json.dumps(planted))
    return planted


def test_a_second_run_takes_every_score_from_the_cache(folders):
    cache = folders / "cache"
    first = run(folders, cache=cache)
    assert run(folders, cache=cache) == first
    planted = plant(cache)
    assert [row.scores for row in run(folders, cache=cache)] == [planted, planted]


def test_the_cache_goes_by_content_and_not_by_name(folders):
    cache = folders / "cache"
    run(folders, cache=cache)
    planted = plant(cache)
    for path in [*folders.glob("*/a.png"), *folders.glob("*/a.bmp")]:
        path.rename(path.with_stem("renamed"))
    assert ImageScore("renamed", planted) in run(folders, cache=cache)


@pytest.mark.parametrize("folder", ["ir", "vi", "fused"])
def test_a_changed_image_is_scored_anew(folders, folder):
    cache = folders / "cache"
    run(folders, cache=cache)
    planted = plant(cache)
    (path,) = (folders / folder).glob("a.*")
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    image[20:30, 20:30] //= 2
    write(path, image)
    assert [row.scores for row in run(folders, cache=cache)] == [by_hand(folders, "a"), planted]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"q_mi": 1}'])
def test_a_damaged_cache_entry_is_computed_again(folders, content):
    cache = folders / "cache"
    first = run(folders, cache=cache)
    for path in cached_files(cache):
        path.write_text(content)
    assert run(folders, cache=cache) == first


def test_without_a_cache_nothing_is_left_behind(folders):
    before = sorted(folders.rglob("*"))
    run(folders)
    assert sorted(folders.rglob("*")) == before


def test_transparency_is_dropped_and_colour_order_is_rgb(tmp_path):
    write(tmp_path / "image.png", np.full((2, 3, 4), (30, 20, 10, 0), np.uint8))
    np.testing.assert_array_equal(
        read_image(tmp_path / "image.png"), np.full((2, 3, 3), (10, 20, 30))
    )
