"""The graph of a run in the formats of other programs."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from realnet.inspection.engines import quiet_openvino
from realnet.manifest import INPUT, OUTPUTS, ExportFormat
from realnet.model.joined import JoinedNet
from realnet.model.network import RealNet

# A protobuf message ends at 2 GB; from here on the weights go into a file beside it.
_ONE_FILE_BYTES = 1_500_000_000
# What is smaller stays in 32 bits: a fifth of the weights, and most of the error of 16 bits.
_HALVED_ELEMENTS = 60_000


class Graph(nn.Module):
    """What is exported: image in, anomaly map and image score out. A copy; the model given stays as it is.

    Shapes:
        input: ``[N, 3, S, S]``, RGB in 0..1; output: map ``[N, 1, S, S]`` in 0..1 and score ``[N]``.

    Args:
        inner: also give the reconstructions, so that a converter's graph can be told apart into what makes these and
            what judges them.
    """

    def __init__(self, model: RealNet | JoinedNet, inner: bool = False) -> None:
        super().__init__()
        # Converters trace the strides, too: channels last is for PyTorch only.
        self.model = copy.deepcopy(model).cpu().float().to(memory_format=torch.contiguous_format).eval()
        self.inner = inner
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map and score of ``image``."""
        if isinstance(self.model, JoinedNet):
            return tuple(self.model.judge_by_all(image))
        size = (image.shape[-2], image.shape[-1])
        result, reconstructions = self.model.judge_selected(self.model.select(image), size)
        return (*result, *reconstructions) if self.inner else tuple(result)


def write_graph(
    folder: Path, model: RealNet | JoinedNet, size: int, form: ExportFormat, calibration: Iterable[np.ndarray] = ()
) -> list[Path]:
    """Write the graph of images of side ``size`` into ``folder``; its files, the one to open first.

    ``calibration``, for int8: images as :func:`realnet.inspection.exported.to_batch` gives them, a batch at a time.
    """
    if form == "torch":
        path = folder / "model.pt2"
        torch.export.save(_program(Graph(model), size), path)
        return [path]
    if form == "onnx":
        return _write_onnx(Graph(model), size, folder / "model.onnx")
    graph = Graph(model, inner=form == "openvino-int8")
    with quiet_openvino():
        import openvino
    converted = _to_openvino(graph, size)
    if form == "openvino-int8":
        converted = _quantise(converted, list(calibration))
    elif form == "openvino-fp16":
        _halve(converted)
    path = folder / "model.xml"
    openvino.save_model(converted, path, compress_to_fp16=False)
    return [path, path.with_suffix(".bin")]


def _program(graph: Graph, size: int) -> Any:
    # Two images: of one, torch would conclude that there is never more than one.
    example = torch.zeros(2, 3, size, size)
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(graph, (example,), dynamic_shapes={"image": {0: batch}})


def _write_onnx(graph: Graph, size: int, path: Path) -> list[Path]:
    with _silent():
        program = torch.onnx.export(
            _program(graph, size),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            verbose=False,
            optimize=True,
        )
    assert program is not None
    large = sum(t.numel() * t.element_size() for t in graph.state_dict().values()) > _ONE_FILE_BYTES
    program.save(path, external_data=large)
    return [path, *sorted(file for file in path.parent.iterdir() if file.name.startswith(f"{path.name}."))]


def _to_openvino(graph: Graph, size: int) -> Any:
    with quiet_openvino(), _silent():
        import openvino

        shape = openvino.PartialShape([-1, 3, size, size])
        converted = openvino.convert_model(graph, example_input=torch.zeros(2, 3, size, size), input=[shape])
    converted.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(converted.outputs, OUTPUTS, strict=False):
        output.get_tensor().set_names({name})
    return converted


def _halve(model: Any) -> None:
    """Keep the large constants of an OpenVINO ``model`` in 16 bits; computed with is what they are in 32."""
    with quiet_openvino():
        import openvino
        from openvino import opset13
    for node in model.get_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != openvino.Type.f32:
            continue
        values = node.data
        if values.size < _HALVED_ELEMENTS or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        widened = opset13.convert(opset13.constant(values.astype(np.float16)), "f32")
        for reader in list(node.output(0).get_target_inputs()):
            reader.replace_source_output(widened.output(0))


def _quantise(model: Any, calibration: Sequence[np.ndarray]) -> Any:
    """The convolutions of backbone and reconstruction in 8 bits, and of a subspace its components.

    Not the discriminator: good images, which the ranges are taken from, have no large residuals, so those of defects
    would be cut off. Not RRS either: it compares ranks. Components are most of the file, and of the time that a lone
    image takes, which goes into reading them. What they are multiplied by OpenVINO may round to 8 bits for each 32
    numbers, where the processor is faster then: that moves scores by a thirtieth of what the rest does.
    """
    with quiet_openvino(), _silent():
        import nncf

        reconstructions = model.get_results()[len(OUTPUTS) :]
        before = _ancestors([result.input_value(0).get_node() for result in reconstructions])
        for result in reconstructions:
            model.remove_result(result)
        left_alone = [
            node.get_friendly_name()
            for node in model.get_ops()
            if node.get_type_name() not in ("Constant", "Parameter", "Result")
            and not ("Convolution" in node.get_type_name() and node.get_friendly_name() in before)
        ]
        nncf.set_log_level(logging.ERROR)
        quantised = nncf.quantize(
            model,
            nncf.Dataset(calibration),
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=left_alone, validate=False),
        )
        if not any(node.get_type_name() == "MatMul" for node in quantised.get_ops()):
            return quantised
        return nncf.compress_weights(
            quantised,
            mode=nncf.CompressWeightsMode.INT8_SYM,
            ignored_scope=nncf.IgnoredScope(types=["Convolution", "GroupConvolution"], validate=False),
        )


def _ancestors(nodes: Sequence[Any]) -> set[str]:
    """The names of ``nodes`` of an OpenVINO graph and of all that they are computed from."""
    seen: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in seen:
            seen.add(node.get_friendly_name())
            waiting += [given.get_source_output().get_node() for given in node.inputs()]
    return seen


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Converters talk on both streams; what they have to say comes as an exception, too.

    They warn of branches that depend on sizes, too: these are fixed, and the result is compared with PyTorch.
    """
    with (
        warnings.catch_warnings(action="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield
