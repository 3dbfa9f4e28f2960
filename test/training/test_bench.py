import json
import subprocess
import sys

import pytest
import torch
from golden_weights import golden_shapes, golden_state_dict
from tiny_runs import CONFIG, ROOT
from typer.testing import CliRunner

from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.network.plain import use_plain_formulation
from training.bench import app, report
from training.timed_steps import Case, accelerated_step, plain_step

CASE = Case(CONFIG)


def test_the_plain_formulation_computes_the_networks_function():
    network = AMGFuse.from_size("tiny").double().eval()
    network.load_state_dict(golden_state_dict(golden_shapes("tiny"), seed=1))
    torch.manual_seed(0)
    visible, thermal = torch.rand(2, 2, 3, 24, 16).double()[0], torch.rand(2, 1, 24, 16).double()
    with torch.inference_mode():
        expected = network(visible, thermal)
        use_plain_formulation(network)
        found = network(visible, thermal)
    for value, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(value, reference, rtol=0, atol=1e-9)


def test_both_steps_give_the_same_loss_and_learn():
    plain, accelerated = plain_step(CASE), accelerated_step(CASE)
    first = plain()
    # Two roundings of one function: the mask's quotient magnifies them.
    assert accelerated() == pytest.approx(first, rel=1e-2)
    later = [accelerated() for _ in range(4)][-1]
    assert later < first


def test_the_command_times_both_in_turn_and_the_loading():
    arguments = ["--crop", "16", "--batch", "1", "--rounds", "2", "--samples", "3", "--json"]
    done = CliRunner().invoke(app, [*arguments, "--threads", "1"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.output[done.output.index("{") :])
    assert result["ratio"] > 0
    assert result["loading_ms"] > 0
    for kind in ("plain", "accelerated"):
        assert len(result[kind]["seconds"]) == 2
        assert result[kind]["samples_per_s"] == pytest.approx(1 / result[kind]["median_s"])
    assert "times as fast" in report(CASE, result)


def test_bad_options_are_an_error_in_a_line():
    done = CliRunner().invoke(app, ["--crop", "17"])
    assert done.exit_code == 1
    assert "multiple of 8" in done.output


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_kept_blocks_are_not_asked_from_the_kernel_again():
    code = (
        "import resource, torch\n"
        "from amg_fuse_ros.allocator import keep_big_blocks\n"
        "kept = {kept}\n"
        "if kept and not keep_big_blocks(): raise SystemExit('not glibc')\n"
        "for _ in range(20): torch.ones(1 << 24)\n"  # until the heap has grown
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5): torch.ones(1 << 24)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )

    def page_faults(kept):
        command = [sys.executable, "-c", code.format(kept=kept)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if "not glibc" in done.stderr:
            pytest.skip("the C library cannot keep blocks")
        return int(done.stdout)

    assert page_faults(True) < page_faults(False) / 10
