"""``amg-fuse fuse``: results under the promised names, errors in one line."""

import re

import cv2
import numpy as np
import pytest
from command_line import SIZE, files_in, in_a_process, refused, write, write_pair
from small_pairs import smooth_image, smooth_pair

from amg_fuse_ros.calibration_file import save_calibration
from amg_fuse_ros.imaging.registration import Homography
from amg_fuse_ros.imaging.visualize import mask_to_bytes


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


def test_the_thermal_camera_is_told_about(amg_fuse, network, folders, tmp_path):
    rig = tmp_path / "rig.yaml"
    height, width = cv2.imread(str(folders[3] / "a.png")).shape[:2]
    moved = np.array([[1.0, 0, 8], [0, 1, 0], [0, 0, 1]])
    save_calibration(Homography((width, height), (width, height), moved), rig)
    plain, told = tmp_path / "plain", tmp_path / "told"
    assert amg_fuse("fuse", *folders, "--out", plain, *network, "--mask").code == 0
    options = ["--registration", rig, "--thermal-polarity", "black_hot"]
    assert amg_fuse("fuse", *folders, "--out", told, *network, "--mask", *options).code == 0
    mask = cv2.imread(str(told / "mask/a.png"), cv2.IMREAD_GRAYSCALE)
    assert (mask[:, -6:] == 255).all()
    assert (plain / "a.png").read_bytes() != (told / "a.png").read_bytes()


def test_a_calibration_that_is_not_there_is_named(amg_fuse, network, folders, tmp_path):
    options = ["--out", tmp_path / "out", *network, "--registration", "rig.yaml"]
    assert refused(amg_fuse("fuse", *folders, *options), "rig.yaml")
