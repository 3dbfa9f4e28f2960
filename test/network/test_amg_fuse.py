"""The network is the published one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import GOLDEN, golden_shapes, golden_state_dict

from amg_fuse_ros.network import SIZES, AMGFuse, fusion_mask
from amg_fuse_ros.network.blocks import reflect_to_multiple

GOLDEN_CASES = sorted((GOLDEN / "network").glob("tiny_w*.npz"))


def network_with_golden_weights(size: str, seed: int) -> AMGFuse:
    network = AMGFuse.from_size(size).double().eval()
    network.load_state_dict(golden_state_dict(golden_shapes(size), seed))
    return network


def load_case(path: Path) -> tuple[AMGFuse, dict[str, torch.Tensor]]:
    seed = int(path.stem.split("_w")[1].split("_")[0])
    arrays = {name: torch.from_numpy(a) for name, a in np.load(path).items()}
    return network_with_golden_weights("tiny", seed), arrays


@pytest.mark.parametrize("path", GOLDEN_CASES, ids=lambda p: p.stem)
def test_all_three_outputs_equal_the_published_code_in_float64(path):
    network, golden = load_case(path)
    with torch.no_grad():
        output = network(golden["vi"], golden["ir"])
    torch.testing.assert_close(output.fused, golden["fuse"], rtol=0, atol=1e-9)
    torch.testing.assert_close(output.visible, golden["f_vi"], rtol=0, atol=1e-9)
    torch.testing.assert_close(output.thermal, golden["f_ir"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("path", GOLDEN_CASES, ids=lambda p: p.stem)
def test_the_published_form_of_the_mask_gives_the_published_visible_share(path):
    network, golden = load_case(path)
    with torch.no_grad():
        fused = network.fuse(golden["vi"], golden["ir"])
    share = fusion_mask(fused, golden["vi"], golden["ir"], published_form=True) * golden["vi"]
    torch.testing.assert_close(share, golden["vi_f"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("size", "parameters"), [("tiny", 4_933_853), ("full", 60_073_492)])
def test_names_shapes_and_number_of_parameters_are_the_authors(size, parameters):
    network = AMGFuse.from_size(size)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == golden_shapes(size)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_a_size_that_is_not_there_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"full.*tiny.*huge"):
        AMGFuse.from_size("huge")
    assert set(SIZES) == {"full", "tiny"}


def test_fuse_equals_the_fused_image_of_forward():
    network = network_with_golden_weights("tiny", 3)
    vi, ir = torch.rand(2, 3, 16, 24).double(), torch.rand(2, 1, 16, 24).double()
    with torch.no_grad():
        torch.testing.assert_close(network.fuse(vi, ir), network(vi, ir).fused, rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(17, 30), (8, 9), (23, 16), (3, 5), (1, 1)])
def test_any_size_is_extended_by_reflection_and_cropped(height, width):
    network = network_with_golden_weights("tiny", 4)
    vi = torch.rand(1, 3, height, width).double()
    ir = torch.rand(1, 1, height, width).double()
    with torch.no_grad():
        output = network(vi, ir)
        extended = network(reflect_to_multiple(vi, 8), reflect_to_multiple(ir, 8))
    for cropped, whole in zip(output, extended, strict=True):
        assert cropped.shape == (1, 3, height, width)
        torch.testing.assert_close(cropped, whole[..., :height, :width], rtol=0, atol=0)


def test_reflection_equals_that_of_numpy_also_where_it_goes_back_and_forth():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (0, 5), (0, 4)), mode="reflect")
    np.testing.assert_array_equal(reflect_to_multiple(x, 8).numpy(), expected)


def test_unused_parts_are_never_computed():
    network = AMGFuse.from_size("tiny").eval()
    seen: set[str] = set()
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: seen.add(name))
    vi, ir = torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)
    network.fuse(vi, ir)
    never = ("patch_embed_f", "encoder_level1_f", "CA_processors.7", "CA_processors.8")
    never += ("mask_processors.7",)
    only_for_the_other_images = ("refinement_vi", "refinement_ir", "output_vi", "output_ir")
    only_for_the_other_images += tuple(f"CA_processors.6.project_out_{s}" for s in ("vi", "ir"))
    assert not [name for name in seen if name.startswith(never + only_for_the_other_images)]
    network(vi, ir)
    assert not [name for name in seen if name.startswith(never)]
    assert set(only_for_the_other_images) <= seen


def test_convolutions_of_tiny_cost_what_the_paper_says():
    network = AMGFuse.from_size("tiny").eval()
    macs = {"all": 0}

    def count(module, _, output):
        k = module.weight[0].numel()  # inputs that one output element reads
        macs["all"] += output.numel() * k

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    vi, ir = torch.rand(1, 3, 56, 56), torch.rand(1, 1, 56, 56)
    with torch.no_grad():
        network(vi, ir)
    assert macs["all"] * 16 == pytest.approx(20.97e9, rel=0.002)
    macs["all"] = 0
    with torch.no_grad():
        network.fuse(vi, ir)
    assert macs["all"] * 16 == pytest.approx(18.92e9, rel=0.002)


def test_pairs_of_different_shapes_are_refused_with_both_shapes():
    network = AMGFuse.from_size("tiny")
    with pytest.raises(ValueError, match=r"\(1, 3, 16, 16\).*\(1, 1, 16, 24\)"):
        network(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 24))


def test_every_used_parameter_receives_a_gradient():
    network = AMGFuse.from_size("tiny")
    output = network(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16))
    sum(image.square().mean() for image in output).backward()
    without = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is None}
    used = sum(p.numel() for p in network.parameters() if p.grad is not None)
    assert without == {"patch_embed_f", "encoder_level1_f", "mask_processors", "CA_processors"}
    assert used == 4_913_911
