import json
import logging
import os
import resource
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_runs import CONFIG, LOSSES, losses, make_inputs, read_log, settings, start, wait_until

from amg_fuse_ros.network import AMGFuse, save_weights
from amg_fuse_ros.network.checkpoint import fingerprint, save_tensors
from training.data.pairs import PairDataset
from training.monitor import Monitor
from training.objective import LossWatch, Objective, freeze_unused
from training.pseudo_truth import fuse_classical
from training.restorer import SmallRestorer
from training.run_folder import RunError, RunFolder
from training.schedule import TrainingDivergedError
from training.session import learning_rate
from training.trainer import Session, train

HERE = Session(accelerator="cpu", workers=0, record_every=1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums of one thread are those of the processes that the tests start."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data") / "pairs"


@pytest.fixture(scope="module")
def inputs(folder):
    return make_inputs(folder)


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    """A run that was left alone; not to be changed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(replace(CONFIG, steps=6), inputs, run, HERE)
    return run


def fit_arguments(folder, run, config, *more):
    options = ["--accelerator", "cpu", "--record-every", "1", "--out", str(run)]
    return ["--data", str(folder), *options, *settings(config), *more]


class TestResume:
    def test_after_a_kill_while_a_checkpoint_is_written_the_losses_are_those_of_a_run_left_alone(
        self, folder, inputs, finished, tmp_path
    ):
        config, run = replace(CONFIG, steps=6), tmp_path / "run"
        partial = run / "last.ckpt.partial"
        process = start(*fit_arguments(folder, run, config, "--save-every", "0"))

        def stopped_while_writing():
            if len(read_log(run)) < 3 or not partial.is_file():
                return False
            process.send_signal(signal.SIGSTOP)
            if partial.is_file():
                return True
            process.send_signal(signal.SIGCONT)
            return False

        wait_until(stopped_while_writing, process)
        process.kill()
        process.wait()
        assert partial.is_file()
        done = RunFolder(run).load()["step"]
        assert 2 <= done < 6

        train(config, inputs, run, HERE)

        expected, found = losses(finished), losses(run)
        assert found.keys() == expected.keys()
        for step, loss in expected.items():
            assert found[step] == pytest.approx(loss, rel=1e-6), step
        left, right = (RunFolder(r).load()["average"] for r in (finished, run))
        assert all(torch.equal(left[k], right[k]) for k in left)

    def test_sigterm_to_the_whole_group_saves_before_the_run_leaves(self, folder, tmp_path):
        config, run = replace(CONFIG, steps=10_000), tmp_path / "run"
        process = start(
            *fit_arguments(folder, run, config, "--workers", "1"), start_new_session=True
        )
        wait_until(lambda: len(read_log(run)) >= 2, process)
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert "stopped at step" in output
        assert RunFolder(run).load()["step"] == len(read_log(run))

    def test_out_of_time_saves_and_leaves(self, inputs, tmp_path):
        state = train(CONFIG, inputs, tmp_path, replace(HERE, minutes=0))
        assert state.step == 1
        assert RunFolder(tmp_path).load()["step"] == 1

    def test_refuses_another_size_and_other_settings_and_shows_the_differences(self, finished):
        other = replace(CONFIG, size="full", steps=6, losses=replace(LOSSES, color=1))
        with pytest.raises(RunError) as refused:
            RunFolder(finished).resume(None, other, {})
        assert "size: tiny then, full now" in str(refused.value)
        assert "losses.color: 20 then, 1 now" in str(refused.value)

    def test_refuses_other_data(self, inputs, finished):
        fewer = replace(inputs, pairs=inputs.pairs[1:])
        with pytest.raises(RunError, match=r"data: .* then, .* now"):
            train(replace(CONFIG, steps=6), fewer, finished, HERE)

    def test_goes_on_with_a_longer_schedule_only_when_told(self, inputs, tmp_path):
        train(replace(CONFIG, steps=1), inputs, tmp_path, HERE)
        longer = replace(CONFIG, steps=2)
        with pytest.raises(RunError, match=r"steps: 1 then, 2 now") as refused:
            train(longer, inputs, tmp_path, HERE)
        assert "--extend" in str(refused.value)
        state = train(longer, inputs, tmp_path, replace(HERE, extend=True))
        assert state.step == 2
        assert losses(tmp_path).keys() == {0, 1}
        # and from now on that is the run's length
        assert train(longer, inputs, tmp_path, HERE).step == 2

    def test_extending_does_not_let_other_settings_pass(self, inputs, finished):
        with pytest.raises(RunError, match="seed: 1 then, 2 now"):
            train(replace(CONFIG, steps=9, seed=2), inputs, finished, replace(HERE, extend=True))

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 half a file"])
    def test_says_what_to_do_about_a_damaged_checkpoint(self, inputs, tmp_path, content):
        (tmp_path / "last.ckpt").write_bytes(content)
        with pytest.raises(RunError, match=r"last\.ckpt.*cannot be read.*delete it"):
            train(CONFIG, inputs, tmp_path, HERE)

    def test_takes_a_checkpoint_without_the_optimiser_and_raises_the_rate_again(
        self, inputs, tmp_path
    ):
        config = replace(CONFIG, steps=4, warmup_steps=2)
        train(config, inputs, tmp_path, replace(HERE, minutes=0))
        checkpoint = RunFolder(tmp_path).load()
        del checkpoint["optimizer"]
        torch.save(checkpoint, tmp_path / "last.ckpt")
        state = train(config, inputs, tmp_path, HERE)
        assert state.moments_since == 1
        rates = {entry["step"]: entry["rate"] for entry in read_log(tmp_path)}
        assert rates[1] == pytest.approx(learning_rate(config, 1) / 2)
        assert rates[3] == pytest.approx(learning_rate(config, 3))


class TestFullDisk:
    def test_the_former_checkpoint_survives_and_the_message_says_why(
        self, inputs, tmp_path, caplog
    ):
        train(CONFIG, inputs, tmp_path, replace(HERE, minutes=0))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            with caplog.at_level(logging.ERROR), pytest.raises(OSError, match="disk full"):
                train(CONFIG, inputs, tmp_path, replace(HERE, save_every_s=0))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "tries again later" in caplog.text
        assert RunFolder(tmp_path).load()["step"] == 1
        assert not (tmp_path / "last.ckpt.partial").exists()
        # with space again it goes on
        assert train(CONFIG, inputs, tmp_path, HERE).step == CONFIG.steps

    def test_a_log_that_cannot_be_written_does_not_stop_training(self, tmp_path, caplog):
        (tmp_path / "log.jsonl").mkdir()
        with Monitor(tmp_path, 3, 0) as monitor:
            monitor.record(0, {"loss": 1.0})
        assert "training goes on" in caplog.text


class PoisonedPseudoTruth:
    """Fuses well until the given call, whose image holds a NaN."""

    name = "poisoned"
    version = "1"

    def __init__(self, call):
        self.calls_left = call

    def __call__(self, visible, thermal):
        fused = fuse_classical(visible, thermal)
        if self.calls_left == 0:
            fused[3, 4] = np.nan
        self.calls_left -= 1
        return fused


class TestDivergence:
    def test_stops_and_names_the_poisoned_sample_and_its_terms(self, inputs, tmp_path):
        # Two samples a step: the sixth is the second one of the third step.
        poisoned = replace(inputs, pseudo_truth=PoisonedPseudoTruth(5))
        with pytest.raises(TrainingDivergedError) as stopped:
            train(replace(CONFIG, steps=6), poisoned, tmp_path, replace(HERE, save_every_s=0))
        message = str(stopped.value)
        assert message.startswith("step 2:")
        assert "loss term pseudo" in message
        assert "loss term mgls" in message
        assert "loss term color" not in message
        innocent, guilty = PairDataset(inputs.pairs, CONFIG)[2].names
        assert guilty in message
        assert innocent not in message
        assert RunFolder(tmp_path).load()["step"] == 2

    def test_names_the_term_whose_gradient_is_not_finite(self, inputs):
        network = AMGFuse.from_size("tiny")

        class Restorer(torch.nn.Module):
            def forward(self, image):
                return image + (image - image).abs().sqrt()  # its slope is infinite

        config = replace(CONFIG, losses=replace(LOSSES, tdas=1.0))
        objective = Objective(config, Restorer())
        freeze_unused(network, Objective(CONFIG))
        batch = PairDataset(inputs.pairs, config)[0]
        blame = objective.blame(network, batch, 0)
        assert f"{batch.names[0]}: gradient of the loss term tdas" in blame
        assert "color" not in blame

    def test_an_exploding_loss_is_one_a_hundred_times_the_usual(self):
        watch = LossWatch()
        assert not watch.diverged(1e6)  # nothing is usual yet
        assert not any(watch.diverged(10.0) for _ in range(200))
        assert not watch.diverged(900.0)
        assert watch.diverged(1e6)
        assert watch.diverged(float("nan"))
        assert watch.diverged(float("inf"))


class TestRestorer:
    @pytest.fixture(scope="class")
    def restorers(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("restorers")
        paths = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            restorer = SmallRestorer()
            torch.nn.init.normal_(restorer.unet.exit.weight, std=0.1)
            paths.append(folder / f"{seed}.safetensors")
            save_tensors(restorer.state_dict(), paths[-1], {})
        return paths

    WITH_TDAS = replace(CONFIG, losses=replace(LOSSES, tdas=5))

    def test_is_asked_for_where_tdas_is_weighted(self, inputs, tmp_path):
        with pytest.raises(ValueError, match=r"losses\.tdas is 5.*--restorer"):
            train(self.WITH_TDAS, inputs, tmp_path, HERE)

    def test_is_refused_where_it_would_do_nothing(self, inputs, restorers, tmp_path):
        with pytest.raises(ValueError, match=r"losses\.tdas is 0"):
            train(CONFIG, replace(inputs, restorer=restorers[0]), tmp_path, HERE)

    def test_takes_part_stays_frozen_and_belongs_to_the_run(self, inputs, restorers, tmp_path):
        run = tmp_path / "run"
        content = restorers[0].read_bytes()
        given = replace(inputs, restorer=restorers[0])
        train(self.WITH_TDAS, given, run, replace(HERE, minutes=0))
        assert read_log(run)[0]["tdas"] > 0
        assert restorers[0].read_bytes() == content
        kept = json.loads((run / "run.json").read_text())["origin"]["restorer"]
        assert len(kept) == 16
        with pytest.raises(RunError, match=f"restorer: {kept} then"):
            train(self.WITH_TDAS, replace(inputs, restorer=restorers[1]), run, HERE)

    def test_the_published_forms_of_mask_and_mgls_change_the_loss(
        self, inputs, restorers, tmp_path
    ):
        published = replace(
            self.WITH_TDAS,
            losses=replace(
                self.WITH_TDAS.losses, tdas_published_form=True, mgls_first_channel_only=True
            ),
        )
        values = []
        for name, config in (("paper", self.WITH_TDAS), ("published", published)):
            given = replace(inputs, restorer=restorers[0])
            train(config, given, tmp_path / name, replace(HERE, minutes=0))
            values.append(read_log(tmp_path / name)[0])
        assert values[0]["tdas"] != values[1]["tdas"]
        assert values[0]["mgls"] != values[1]["mgls"]
        assert values[0]["color"] == values[1]["color"]


class TestWhatARunLeaves:
    @pytest.fixture(scope="class")
    def run(self, inputs, tmp_path_factory):
        run = tmp_path_factory.mktemp("validated") / "run"
        initial = run.parent / "initial.safetensors"
        torch.manual_seed(5)
        save_weights(AMGFuse.from_size("tiny"), initial, {})
        config = replace(CONFIG, validate_every=1)
        train(config, replace(inputs, initial_weights=initial), run, replace(HERE, minutes=0))
        train(config, inputs, run, HERE)
        return run

    def test_best_is_the_average_at_the_step_with_the_best_score(self, run):
        validations = [e for e in read_log(run) if "validation" in e]
        assert [e["step"] for e in validations] == [1, 2, 3]
        best = max(validations, key=lambda e: e["validation"]["score"])
        kept = RunFolder(run).load("best.ckpt")
        assert kept["step"] == kept["scores"]["step"] == best["step"]
        assert kept["scores"]["score"] == best["validation"]["score"]
        assert set(best["validation"]) == {"score", "qabf", "ssim", "vif", "q_cb"}

    def test_the_average_lies_between_the_first_and_the_last_weights(self, run):
        last = RunFolder(run).load()
        key = "output_f.weight"
        assert not torch.equal(last["average"][key], last["network"][key])
        assert last["average"].keys() == last["network"].keys()

    def test_run_json_holds_what_is_needed_to_repeat_it(self, run, inputs):
        told = json.loads((run / "run.json").read_text())
        assert told["config"] == json.loads(json.dumps(replace(CONFIG, validate_every=1).to_dict()))
        assert told["pairs"] == [files.name for files in inputs.pairs]
        assert told["validation"] == [files.name for files in inputs.validation]
        assert told["data"]["pairs"] == len(inputs.pairs)
        assert told["origin"]["data"] == told["data"]["digest"]
        first, second = told["sessions"]
        assert (first["from_step"], second["from_step"]) == (0, 1)
        assert first["versions"]["torch"] == torch.__version__.split("+")[0]
        assert {"began", "command", "commit", "device", "precision"} <= first.keys()

    def test_tensorboard_shows_curves_and_pictures(self, run):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = EventAccumulator(str(run / "tensorboard"))
        board.Reload()
        tags = board.Tags()
        assert {"train/loss", "train/norm", "train/rate", "validation/score"} <= set(
            tags["scalars"]
        )
        assert "validation" in {tag.split("/")[0] for tag in tags["images"]}
        assert [event.step for event in board.Scalars("train/loss")] == [0, 1, 2]

    def test_remembers_over_sessions_which_weights_it_started_from(self, run):
        torch.manual_seed(5)
        expected = fingerprint(AMGFuse.from_size("tiny").state_dict())
        assert RunFolder(run).load()["origin"]["initial_weights"] == expected
        assert json.loads((run / "run.json").read_text())["origin"]["initial_weights"] == expected


class TestUnusedParts:
    def test_are_frozen_as_the_network_is_designed(self):
        network = AMGFuse.from_size("tiny")
        unused = freeze_unused(network, Objective(CONFIG))
        parts = {
            "patch_embed_f.",
            "encoder_level1_f.",
            "CA_processors.7.",
            "CA_processors.8.",
            "mask_processors.7.",
        }
        assert {part for part in parts for name in unused if name.startswith(part)} == parts
        assert all(name.startswith(tuple(parts)) for name in unused)
        assert not any(p.requires_grad for n, p in network.named_parameters() if n in unused)

    def test_are_more_where_a_loss_term_is_left_out(self):
        network = AMGFuse.from_size("tiny")
        without = replace(CONFIG, losses=replace(LOSSES, mgls=0, mgls_final=0))
        unused = freeze_unused(network, Objective(without))
        assert "output_vi.weight" in unused
        assert "CA_processors.6.project_out_ir.weight" in unused
        assert "CA_processors.6.project_out_f.weight" not in unused


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_train(inputs, tmp_path, precision):
    state = train(CONFIG, inputs, tmp_path, replace(HERE, precision=precision, minutes=0))
    assert state.step == 1
    assert all(np.isfinite(value) for value in read_log(tmp_path)[0].values())


def test_the_command_line_reports_errors_in_a_line_and_fails(tmp_path):
    process = start("--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run"))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error:" in output
    assert "nowhere" in output
    assert "Traceback" not in output
