"""Weights files load whatever their wrapping, and say what is wrong with them."""

import json
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from amg_fuse_ros.network import AMGFuse, WeightsError, load_weights, read_card, save_weights


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return AMGFuse.from_size("tiny").eval()


@pytest.fixture(scope="module")
def state(network):
    return dict(network.state_dict())


def assert_loads(path, state):
    loaded = load_weights(path)
    assert loaded.size.name == "tiny"
    assert not loaded.training
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


WRAPPINGS = {
    "top level": lambda s: s,
    "AWF": lambda s: {"AWF": s, "epoch": 3},
    "model": lambda s: {"model": s, "optimizer": {"lr": 0.1}},
    "module": lambda s: {f"module.{k}": v for k, v in s.items()},
    "AWF and module": lambda s: {"AWF": {f"module.{k}": v for k, v in s.items()}},
    "with the restorer": lambda s: {"AWF": {**s, "res.a.weight": torch.rand(2)}},
    "with a skip_conv": lambda s: {"AWF": {**s, "skip_conv.weight": torch.rand(2)}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_authors_files_load_in_every_wrapping(tmp_path, state, wrapping):
    path = tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](state), path)
    assert_loads(path, state)


def test_safetensors_load_and_carry_their_card(tmp_path, network, state):
    path = tmp_path / "w.safetensors"
    save_weights(network, path, {"steps": 7, "data": ["a", "b"]})
    assert_loads(path, state)
    assert read_card(path) == {"size": "tiny", "steps": 7, "data": ["a", "b"]}


def test_half_precision_files_give_a_float32_network(tmp_path, network):
    path = tmp_path / "w.safetensors"
    save_weights(network, path, {}, torch.float16)
    assert path.stat().st_size < 10.2e6
    assert {p.dtype for p in load_weights(path).parameters()} == {torch.float32}


def test_float64_files_stay_float64(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({k: v.double() for k, v in state.items()}, path)
    assert {p.dtype for p in load_weights(path).parameters()} == {torch.float64}


def test_a_loaded_network_can_be_trained_on(tmp_path, network):
    path = tmp_path / "w.safetensors"
    save_weights(network, path, {})
    loaded = load_weights(path)
    loaded.fuse(torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)).mean().backward()
    assert loaded.output_f.weight.grad is not None


def refuse(path, *patterns, **options):
    with pytest.raises(WeightsError) as caught:
        load_weights(path, **options)
    for text in (str(path), *patterns):
        assert text in str(caught.value)


def test_missing_keys_are_named(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({k: v for k, v in state.items() if not k.startswith("output_f")}, path)
    refuse(path, "450 keys", "1 missing (output_f.weight)", "0 unknown")


def test_unknown_keys_are_named(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({**state, "surprise": torch.zeros(1)}, path)
    refuse(path, "1 unknown (surprise)")


def test_another_shape_is_named_with_both_shapes(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({**state, "output_f.weight": torch.zeros(3, 16, 3, 3)}, path)
    refuse(path, "output_f.weight", "(3, 32, 3, 3)", "(3, 16, 3, 3)")


def test_another_size_than_the_one_asked_for_is_refused(tmp_path, network):
    path = tmp_path / "w.safetensors"
    save_weights(network, path, {})
    refuse(path, "expected weights of size 'full'", "found size 'tiny'", size="full")


def test_a_network_of_unknown_width_is_refused(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({**state, "patch_embed_vi.proj.weight": torch.zeros(20, 3, 3, 3)}, path)
    refuse(path, "found 20")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 100, 5000, 1_000_000])
def test_a_truncated_file_is_told_from_a_good_one(tmp_path, network, state, suffix, kept):
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_weights(network, path, {})
    path.write_bytes(path.read_bytes()[:kept])
    refuse(path, "truncated", f"{kept} bytes")


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"epoch": 3, "names": ["a"]}, path)
    refuse(path)
    other = tmp_path / "w.safetensors"
    save_file({"layer.weight": torch.zeros(3)}, other)
    refuse(other, "layer.weight")


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "w.pth"
    torch.save({"AWF": Payload()}, path)
    refuse(path)
    assert not (tmp_path / "ran").exists()


FIRST = "patch_embed_vi.proj.weight"


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (lambda: torch.zeros(1, dtype=torch.float16).expand(10**7, 10**7), "more than the file"),
        (lambda: torch.zeros(10**12, device="meta"), "expected plain numbers"),
        (lambda: torch.zeros(3, 3).to_sparse(), "plain numbers"),
        (lambda: torch.zeros(4, dtype=torch.complex64), "expected plain numbers"),
    ],
    ids=["a view of one value", "no data", "sparse", "complex"],
)
def test_a_tensor_that_is_not_what_it_seems_costs_no_memory(tmp_path, state, tensor, complaint):
    path = tmp_path / "w.pth"
    torch.save({**state, FIRST: tensor()}, path)
    refuse(path, FIRST, complaint)


def test_weights_that_are_no_numbers_are_refused(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({**state, FIRST: state[FIRST] * float("nan")}, path)
    refuse(path, "expected finite weights", FIRST)


def test_an_archive_that_unpacks_to_much_more_is_not_unpacked(tmp_path, state):
    good, bomb = tmp_path / "w.pth", tmp_path / "bomb.pth"
    torch.save(state, good)
    with (
        zipfile.ZipFile(good) as source,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
    ):
        for entry in source.infolist():
            filler = bytes(100 << 20) if entry.filename.endswith("/data/0") else None
            packed.writestr(entry.filename, filler or source.read(entry))
    refuse(bomb, "an archive that unpacks to")


def safetensors_file(path, header, content=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}},
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        b"[" * 100_000,
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path, header):
    refuse(safetensors_file(tmp_path / "w.safetensors", header, bytes(4)))


def test_a_safetensors_header_of_a_size_no_file_has_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    refuse(path)


@pytest.mark.parametrize("card", ["[1, 2]", "[" * 100_000, "{", "3"])
def test_a_card_that_is_none_is_refused(tmp_path, card):
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = {"__metadata__": {"card": card}, "a": tensor}
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        read_card(safetensors_file(tmp_path / "w.safetensors", header, bytes(4)))


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load_weights(tmp_path / "none.pth")
