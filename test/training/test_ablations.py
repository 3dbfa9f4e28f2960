import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from tiny_runs import CONFIG, LOSSES, make_inputs

from amg_fuse_ros.network.checkpoint import save_tensors
from training.ablations import run_ablations, table, variants
from training.metrics import METRICS
from training.restorer import SmallRestorer
from training.trainer import Session

HERE = Session(accelerator="cpu", workers=0, record_every=1)


class TestVariants:
    def test_leave_out_one_strategy_each(self):
        rows = variants(replace(CONFIG, losses=replace(LOSSES, tdas=2)))
        full = rows.pop("all strategies")
        assert full.losses.tdas == 2
        assert rows["without TDAS"] == replace(full, losses=replace(full.losses, tdas=0))
        assert rows["without MGLS"] == replace(
            full, losses=replace(full.losses, mgls=0, mgls_final=0)
        )
        assert rows["without MCCA"] == replace(full, cross_attention="sum")
        assert len(rows) == 3

    def test_use_tdas_where_the_settings_do_not(self):
        assert variants(CONFIG)["all strategies"].losses.tdas == 5

    def test_refuse_settings_without_what_is_to_be_left_out(self):
        with pytest.raises(ValueError, match="mgls"):
            variants(replace(CONFIG, losses=replace(LOSSES, mgls=0, mgls_final=0)))
        with pytest.raises(ValueError, match="cross_attention"):
            variants(replace(CONFIG, cross_attention="none"))


class TestRunAblations:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        return tmp_path_factory.mktemp("ablations")

    @pytest.fixture(scope="class")
    def inputs(self, folder):
        torch.manual_seed(0)
        save_tensors(SmallRestorer().state_dict(), folder / "restorer.safetensors", {})
        return make_inputs(folder / "pairs", restorer=folder / "restorer.safetensors")

    def test_train_score_and_print_every_variant_and_go_on_when_repeated(self, inputs, folder):
        config, out = replace(CONFIG, steps=2), folder / "out"
        first = run_ablations(config, inputs, out, replace(HERE, minutes=0))
        assert [result.steps for result in first] == [1, 1, 1, 1]
        results = run_ablations(config, inputs, out, HERE)
        assert [result.steps for result in results] == [2, 2, 2, 2]
        for result in results:
            assert set(METRICS) <= set(result.scores)
        assert len({result.scores["score"] for result in results}) > 2
        kept = json.loads((out / "ablations.json").read_text())
        assert [row["variant"] for row in kept] == list(variants(config))

        console = Console(width=140, record=True)
        console.print(table(results, 1))
        text = console.export_text()
        assert all(row["variant"] in text for row in kept)
        assert all(metric.label in text for metric in METRICS.values())

    def test_ask_for_a_restorer_and_for_held_out_pairs(self, inputs, folder):
        with pytest.raises(ValueError, match="restorer"):
            run_ablations(CONFIG, replace(inputs, restorer=None), folder / "a", HERE)
        with pytest.raises(ValueError, match="hold out"):
            run_ablations(CONFIG, replace(inputs, validation=()), folder / "b", HERE)
