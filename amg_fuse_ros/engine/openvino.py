"""OpenVINO on the CPU, with the project's own sort in its graph."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amg_fuse_ros.engine.cache import find_or_build
from amg_fuse_ros.engine.onnx_file import INPUTS, write_onnx
from amg_fuse_ros.engine.progress import told
from amg_fuse_ros.engine.static import (
    Run,
    StaticEngine,
    check_cpu,
    check_precision,
    installed,
    require,
)
from amg_fuse_ros.network import FusionNetwork

FILE = "network.onnx"


class OpenVinoEngine(StaticEngine):
    """Runs an exported file, one for each resolution; the files are kept on disk."""

    name = "openvino"
    needs = ("openvino", "onnx", "onnxscript")
    channels_last = True

    def __init__(
        self, network: FusionNetwork, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Check that everything is there; files are exported when a resolution first comes.

        Raises:
            ValueError: If there is no such device name or precision.
            EngineUnavailableError: If something is missing; the message says what to install.
        """
        check_cpu("openvino", device)
        require("openvino", "openvino", *self.needs)
        self.precision = check_precision("openvino", precision, "cpu", ("fp32", "bf16"))
        super().__init__(network.to("cpu", torch.float32))

    def build(self, height: int, width: int) -> Run:
        """Export if there is no file yet, and compile it."""
        import openvino

        def export(folder: Path) -> None:
            write_onnx(self._network, folder / FILE, height, width)

        # The ONNX engine's file: both run the same one.
        key = {**self.key(height, width, {}), "engine": "onnx", "precision": "fp32"}
        path = find_or_build({**key, "onnx": installed("onnx")}, export) / FILE
        with told(f"loading {width}x{height} into OpenVINO"):
            core = openvino.Core()
            model = core.read_model(path)
            use_own_sort(model)
            model = take_channels_last(model)
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                },
            )
            request = compiled.create_infer_request()

        def run(visible: Tensor, thermal: Tensor) -> Tensor:
            pair = zip(INPUTS, (visible.numpy(), thermal.numpy()), strict=True)
            result = request.infer(dict(pair), share_inputs=True)
            return torch.from_numpy(np.array(result[0]))

        return run


def take_channels_last(model: Any) -> Any:
    """The model with all images' channels as the last axis.

    Inside, that is OpenVINO's own layout for convolutions: nothing has to be turned over.
    """
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    images = [steps.input(0), steps.input(1), steps.output(0)]
    for image in images:
        image.tensor().set_layout(Layout("NHWC"))
        image.model().set_layout(Layout("NCHW"))
    return steps.build()


def use_own_sort(model: Any) -> int:
    """Replace every sort of the model, in place, by the project's; returns how many.

    The file's sort is a TopK over all values; OpenVINO's takes ten times as long for it.
    """
    import openvino
    from openvino.utils import replace_node

    class StableSort(openvino.Op):
        def __init__(self, inputs: Any = None) -> None:
            super().__init__(self, inputs)

        def validate_and_infer_types(self) -> None:
            self.set_output_type(0, self.get_input_element_type(0), self.get_input_partial_shape(0))
            self.set_output_type(1, openvino.Type.i32, self.get_input_partial_shape(0))

        def clone_with_new_inputs(self, inputs: Any) -> "StableSort":
            return StableSort(inputs)

        def has_evaluate(self) -> bool:
            return True

        def evaluate(self, outputs: Any, inputs: Any) -> bool:
            values, indices = torch.ops.amg_fuse.stable_sort(torch.from_numpy(inputs[0].data))
            outputs[0].data[:] = values.numpy()
            outputs[1].data[:] = indices.numpy()
            return True

    sorts = [node for node in model.get_ops() if node.get_type_name() == "TopK"]
    for node in sorts:
        own = StableSort([node.input_value(0)])
        replace_node(node, own.outputs())
    model.validate_nodes_and_infer_types()
    return len(sorts)
