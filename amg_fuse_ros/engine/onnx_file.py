"""The network as an ONNX file of standard operations, for one resolution.

The sort is TopK over all values, smallest first: ONNX defines that of equal values the one with
the lower index comes first, so it is the stable sort.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from amg_fuse_ros.engine.progress import told
from amg_fuse_ros.engine.static import FusedImage, example, require
from amg_fuse_ros.network import FusionNetwork

OPSET = 18
INPUTS = ("visible", "thermal")
OUTPUT = "fused"


def write_onnx(network: FusionNetwork, path: str | Path, height: int, width: int) -> None:
    """Write a checked file: ``visible`` 1 3 H W and ``thermal`` 1 1 H W to ``fused`` 1 3 H W.

    All are float32 in [0, 1].

    Args:
        network: In float32 on the CPU.
        path: The file; written whole or not at all.
        height: A multiple of 8.
        width: A multiple of 8.

    Raises:
        EngineUnavailableError: If onnx or onnxscript is not installed.
        ValueError: If a side is no multiple of 8, or the file does not pass the check.
    """
    require("onnx", "onnx", "onnx", "onnxscript")
    if height % 8 or width % 8 or min(height, width) < 8:
        raise ValueError(f"expected sides that are multiples of 8, found {width}x{height}")
    import onnx

    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with told(f"exporting the network to ONNX for {width}x{height}"):
            program = _export(network, height, width)
            program.save(str(partial), include_initializers=True)
            try:
                onnx.checker.check_model(str(partial), full_check=True)
            except onnx.checker.ValidationError as error:
                raise ValueError(f"{path}: the exported file is not valid ONNX: {error}") from error
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _export(network: FusionNetwork, height: int, width: int) -> Any:
    import onnx_ir
    from onnxscript import optimizer

    module = FusedImage(network).eval()
    with _silence("torch.onnx", "onnx_ir", "onnxscript"), torch.no_grad():
        program = torch.onnx.export(
            torch.export.export(module, example(height, width)),
            (),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            custom_translation_table={torch.ops.amg_fuse.stable_sort.default: _stable_sort()},
            # The exporter's own rewriting takes x + 1e-8 for x + 0, and the mask's quotient
            # becomes 0 / 0; folding constants is all that is wanted.
            optimize=False,
            verbose=False,
        )
        if program is None:
            raise ValueError("the exporter gave no program")
        passes = onnx_ir.passes.common
        passes.InlinePass()(program.model)
        for _ in range(2):
            optimizer.fold_constants(program.model, onnx_shape_inference=True)
            optimizer.remove_unused_nodes(program.model)
        for tidy in (
            passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            passes.DeduplicateInitializersPass(),
            passes.CommonSubexpressionEliminationPass(),
        ):
            tidy(program.model)
    return program


@contextmanager
def _silence(*names: str) -> Iterator[None]:
    """Exporters tell at length about optional libraries and each of their steps."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _stable_sort() -> Any:
    import onnxscript

    op: Any = onnxscript.opset18

    def stable_sort(x: Any) -> Any:
        length = op.Gather(op.Shape(x), op.Constant(value_ints=[-1]), axis=0)
        values, indices = op.TopK(x, length, axis=-1, largest=0, sorted=1)
        return values, indices

    return stable_sort
