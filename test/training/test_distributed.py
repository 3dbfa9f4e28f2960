"""Data-parallel training in two real processes (gloo)."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import CONFIG, LOSSES, losses, make_inputs, settings, start

from training.data.pairs import Batch, PairDataset
from training.objective import Objective, freeze_unused
from training.restorer import SmallRestorer
from training.run_folder import RunFolder
from training.session import Session, make_fabric, make_network
from training.trainer import forward_backward, train

TORCHRUN = "torch.distributed.run"
PARALLEL = ["--standalone", "--nproc_per_node", "2"]
WITH_TDAS = replace(CONFIG, losses=replace(LOSSES, tdas=5.0))


def restorer():
    torch.manual_seed(3)
    network = SmallRestorer()
    torch.nn.init.normal_(network.unet.exit.weight, std=0.1)
    return network.double().requires_grad_(False)


def in_float64(batch: Batch) -> Batch:
    tensors = {n: v.double() for n, v in vars(batch).items() if isinstance(v, torch.Tensor)}
    return replace(batch, **tensors)


def gradients(folder: Path) -> dict[str, torch.Tensor]:
    """Gradients of one step of the trainer's, in float64 on this process's part of the batch."""
    torch.set_default_dtype(torch.float64)
    try:
        fabric = make_fabric(Session(accelerator="cpu", precision="64-true"))
        config = WITH_TDAS
        network = make_network(config).double()
        freeze_unused(network, Objective(config, restorer()))
        optimizer = torch.optim.Adam(network.parameters())
        model, optimizer = fabric.setup(network, optimizer)
        objective = Objective(
            config, restorer(), average=lambda t: fabric.all_reduce(t, reduce_op="mean")
        )
        dataset = PairDataset(
            make_inputs(folder).pairs,
            config,
            rank=fabric.global_rank,
            processes=fabric.world_size,
        )
        batch = in_float64(dataset[0])
        forward_backward(fabric, model, objective, batch, 0)
        return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "pairs"
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_gradients_of_two_processes_are_those_of_one_on_the_joined_batch(folder, tmp_path):
    arguments = [*PARALLEL, str(Path(__file__)), str(folder), str(tmp_path)]
    process = start(*arguments, module=TORCHRUN)
    expected = gradients(folder)
    output, _ = process.communicate(timeout=170)
    assert process.returncode == 0, output
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            scale = float(value.abs().max()) or 1.0
            torch.testing.assert_close(found[name] / scale, value / scale, rtol=0, atol=1e-9)


def test_the_same_command_under_torchrun_trains_together_and_one_process_writes(folder, tmp_path):
    config = replace(CONFIG, steps=2)
    together, alone = tmp_path / "together", tmp_path / "alone"
    # float64: in float32 Adam's first step, which follows signs, magnifies another rounding.
    options = ["--accelerator", "cpu", "--precision", "64-true"]
    options += ["--record-every", "1", "--workers", "0"]
    process = start(
        *PARALLEL,
        *("-m", "training.fit", "--data", str(folder), "--out", str(together)),
        *(*options, *settings(config)),
        module=TORCHRUN,
    )
    session = Session(accelerator="cpu", precision="64-true", record_every=1, workers=0)
    train(config, make_inputs(folder), alone, session)
    output, _ = process.communicate(timeout=170)
    assert process.returncode == 0, output
    expected, found = losses(alone), losses(together)
    assert found.keys() == expected.keys()
    for step, loss in expected.items():
        assert found[step] == pytest.approx(loss, rel=1e-5), step
    told = json.loads((together / "run.json").read_text())
    assert [session["processes"] for session in told["sessions"]] == [2]
    assert len(list((together / "tensorboard").iterdir())) == 1
    assert RunFolder(together).load()["step"] == 2


if __name__ == "__main__":
    torch.save(gradients(Path(sys.argv[1])), Path(sys.argv[2]) / f"{os.environ['RANK']}.pt")
