import pytest
import torch

from amg_fuse_ros.network import FusionOutput
from training.config import LossWeights, TrainingConfig
from training.data.pairs import Batch
from training.objective import Objective
from training.supervision import edge_error, hidden_error, particles_left, structure_error


def drawn(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def clean() -> torch.Tensor:
    return 0.4 + 0.2 * drawn(0)


@pytest.fixture
def rain() -> torch.Tensor:
    """Bright streaks two pixels wide, the same in every channel."""
    streaks = torch.zeros(2, 1, 64, 64)
    streaks[..., 8:40, 11:13] = 0.1
    streaks[..., 30:60, 45:47] = 0.07
    return streaks.expand(-1, 3, -1, -1)


@pytest.mark.parametrize("kept", [0.0, 0.25, 1.0])
def test_particles_left_is_the_share_of_the_streaks_that_an_error_holds(clean, rain, kept):
    found = particles_left(kept * rain, clean, clean + rain)

    assert found.item() == pytest.approx(kept, abs=0.02)


def test_streaks_drawn_dark_count_like_bright_ones(clean, rain):
    assert particles_left(-rain, clean, clean + rain).item() == pytest.approx(1, abs=0.02)


def test_an_error_that_does_not_follow_the_streaks_counts_little(clean, rain):
    other = 0.1 * (drawn(3) - 0.5)

    assert particles_left(other, clean, clean + rain).item() < 0.15


def test_a_veil_is_no_particle(clean):
    veil = torch.full_like(clean, 0.2)

    assert particles_left(veil, clean, clean + veil).item() == pytest.approx(0, abs=1e-3)


def test_nothing_is_left_or_hidden_without_weather(clean):
    error = drawn(4)

    assert particles_left(error, clean, clean).item() == 0
    assert hidden_error(error, clean, clean).item() == 0


def test_a_hidden_error_is_one_below_the_weather(clean):
    flake = torch.zeros_like(clean)
    flake[..., 10:20, 10:20] = 0.5
    below, beside = flake, flake.roll(30, dims=3)

    assert hidden_error(below, clean, clean + flake) > 0.1
    assert hidden_error(beside, clean, clean + flake) == 0


def test_edges_do_not_see_brightness_but_blur(clean):
    blurred = torch.nn.functional.avg_pool2d(clean, 3, 1, 1)

    assert edge_error(clean + 0.1, clean).item() == pytest.approx(0, abs=1e-6)
    assert edge_error(blurred, clean).item() > 0.05


def test_structure_error_is_zero_of_equal_images_and_near_one_of_unrelated_ones(clean):
    assert structure_error(clean, clean).item() == pytest.approx(0, abs=1e-6)
    assert structure_error(drawn(5), drawn(6)).item() > 0.8


@pytest.mark.parametrize("term", [edge_error, structure_error])
def test_gradients_are_right(term):
    fused, truth = drawn(7)[..., :9, :9].double(), drawn(8)[..., :9, :9].double()

    assert torch.autograd.gradcheck(lambda f: term(f, truth), fused.requires_grad_())


def test_any_size_is_trained_for_them_as_the_configuration_says(clean, rain):
    weights = LossWeights(
        gradient=0, color=0, mgls=0, mgls_final=0, pseudo_edges=2, pseudo_structure=3, particles=4
    )
    thermal = clean[:, :1]
    batch = Batch(clean, thermal, clean + rain, thermal, clean, ("a", "b"))
    fused = clean + 0.5 * rain

    terms = Objective(TrainingConfig(losses=weights)).terms(
        FusionOutput(fused, fused, thermal), batch, 0
    )

    assert terms.keys() == {"pseudo_edges", "pseudo_structure", "particles"}
    assert terms["particles"].item() == pytest.approx(4 * 0.5, abs=0.1)
    assert terms["pseudo_edges"].item() == pytest.approx(2 * edge_error(fused, clean).item())
    assert terms["pseudo_structure"].item() == pytest.approx(
        3 * structure_error(fused, clean).item()
    )
