import json
import shutil
from dataclasses import replace

import pytest
import torch
from tiny_runs import CONFIG, make_inputs
from typer.testing import CliRunner

from amg_fuse_ros.network import load_weights, read_card
from training.config import TrainingConfig
from training.export import app, export
from training.metrics import METRICS
from training.run_folder import RunError, RunFolder
from training.session import make_network
from training.trainer import Session, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data") / "pairs"


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A finished run of two steps, each validated."""
    run = tmp_path_factory.mktemp("run") / "run"
    config = replace(CONFIG, steps=2, validate_every=1)
    train(config, make_inputs(folder), run, Session(accelerator="cpu", workers=0))
    return run


@pytest.fixture
def copy(run, tmp_path):
    """The same run, to be changed."""
    return shutil.copytree(run, tmp_path / "copy")


def change(run, name="last.ckpt", **values):
    content = RunFolder(run).load(name)
    content.update(values)
    torch.save({k: v for k, v in content.items() if v is not None}, run / name)


@pytest.mark.parametrize(
    ("which", "checkpoint", "key"),
    [
        ("average", "last.ckpt", "average"),
        ("last", "last.ckpt", "network"),
        ("best", "best.ckpt", "average"),
    ],
)
def test_the_file_holds_the_weights_asked_for(run, tmp_path, which, checkpoint, key):
    path = tmp_path / "weights.safetensors"
    export(run, path, which)
    expected = RunFolder(run).load(checkpoint)[key]
    found = load_weights(path, size="tiny").state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_card_says_what_they_are(run, folder, tmp_path):
    path = tmp_path / "weights.safetensors"
    export(run, path)
    card = read_card(path)
    assert (card["size"], card["steps"], card["pairs_seen"]) == ("tiny", 2, 4)
    assert card["data"]["pairs"] == 5
    assert card["data"]["digest"] == card["origin"]["data"]
    assert card["validation"]["step"] == 2
    assert 0 < card["validation"]["score"] < 1
    assert TrainingConfig.from_dict(card["config"]) == replace(CONFIG, steps=2, validate_every=1)
    assert card["commit"] == json.loads((run / "run.json").read_text())["sessions"][-1]["commit"]
    assert card["versions"]["torch"] == torch.__version__.split("+")[0]
    assert len(card["date"]) == 10


def test_half_precision_halves_the_file(run, tmp_path):
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    export(run, whole)
    export(run, half, half=True)
    assert half.stat().st_size < 0.52 * whole.stat().st_size
    left, right = (load_weights(path).state_dict() for path in (whole, half))
    assert all(torch.allclose(left[k], right[k], rtol=1e-3, atol=1e-6) for k in left)


def test_a_run_of_an_older_version_gives_a_card_that_lacks_entries(copy, tmp_path):
    config = RunFolder(copy).load()["config"]
    for name in ("epochs", "cross_attention", "validate_every", "recorded_share"):
        del config[name]
    del config["losses"]["tdas"]
    change(copy, config=config, origin=None, scores=None, best=None, moments_since=None)
    (copy / "run.json").write_text(json.dumps({"config": config, "pairs": ["a/1", "a/2"]}))
    card = export(copy, tmp_path / "weights.safetensors")
    assert card["data"] == {"pairs": 2}
    assert (card["validation"], card["commit"], card["origin"]) == (None, None, None)
    assert card["steps"] == 2
    (copy / "run.json").unlink()
    assert export(copy, tmp_path / "weights.safetensors")["data"] is None


def test_with_the_data_all_pairs_not_trained_on_are_scored_by_all_metrics(run, folder, tmp_path):
    card = export(run, tmp_path / "weights.safetensors", data=folder)
    told = json.loads((run / "run.json").read_text())
    assert card["data"] == told["data"]
    assert card["validation"]["pairs"] == 1
    assert set(METRICS) <= set(card["validation"])


def test_other_data_than_the_runs_is_refused(copy, folder, tmp_path):
    (copy / "run.json").write_text(json.dumps({"pairs": ["pairs/0", "other/7"]}))
    with pytest.raises(RunError, match="1 of the 2 pairs"):
        export(copy, tmp_path / "weights.safetensors", data=folder)


def test_pairs_are_not_scored_where_the_run_does_not_name_its_own(copy, folder, tmp_path):
    (copy / "run.json").unlink()
    with pytest.raises(RunError, match="names no pairs"):
        export(copy, tmp_path / "weights.safetensors", data=folder)


def test_an_ablation_without_exchange_becomes_an_ordinary_network(copy, tmp_path):
    config = {**RunFolder(copy).load()["config"], "cross_attention": "none"}
    change(copy, config=config)
    path = tmp_path / "weights.safetensors"
    export(copy, path, "last")
    ablation = make_network(TrainingConfig.from_dict(config)).eval()
    ablation.load_state_dict(RunFolder(copy).load()["network"])
    pair = torch.rand(1, 3, 16, 16).double(), torch.rand(1, 1, 16, 16).double()
    with torch.inference_mode():
        expected = ablation.double()(*pair).fused
        found = load_weights(path).double()(*pair).fused
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_an_ablation_with_a_sum_is_refused(copy, tmp_path):
    change(copy, config={**RunFolder(copy).load()["config"], "cross_attention": "sum"})
    with pytest.raises(ValueError, match="cannot express"):
        export(copy, tmp_path / "weights.safetensors")


def test_weights_that_are_not_finite_are_refused(copy, tmp_path):
    average = RunFolder(copy).load()["average"]
    average["output_f.weight"][0] = float("nan")
    change(copy, average=average)
    with pytest.raises(RunError, match="finite"):
        export(copy, tmp_path / "weights.safetensors")


def test_weights_too_large_for_half_precision_are_refused(copy, tmp_path):
    average = RunFolder(copy).load()["average"]
    average["output_f.weight"][0] = 1e6
    change(copy, average=average)
    export(copy, tmp_path / "weights.safetensors")
    with pytest.raises(RunError, match="half precision"):
        export(copy, tmp_path / "half.safetensors", half=True)


class TestCommandLine:
    def test_writes_the_file_and_says_what_it_is(self, run, tmp_path):
        out = tmp_path / "new folder" / "weights.safetensors"
        done = CliRunner().invoke(app, [str(run), "--out", str(out), "--which", "best", "--half"])
        assert done.exit_code == 0, done.output
        assert "tiny" in done.output
        assert out.is_file()

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("nowhere", ["--out", "x.safetensors"], "expected a run with a checkpoint last.ckpt"),
            (
                "nowhere",
                ["--out", "x.safetensors", "--which", "best"],
                "expected a run with a checkpoint best.ckpt",
            ),
            ("nowhere", ["--out", "x.pth"], ".safetensors"),
        ],
    )
    def test_says_what_is_missing(self, tmp_path, name, options, message):
        done = CliRunner().invoke(app, [str(tmp_path / name), *options])
        assert done.exit_code == 1
        assert message in " ".join(done.output.split())
