"""The programs that run an exported graph: OpenVINO and ONNX Runtime."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.manifest import INPUT, OUTPUTS, Manifest

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Engine(Protocol):
    """Runs a graph; any number of threads may call it."""

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Anomaly maps ``[N, S, S]`` and scores ``[N]`` of float32 ``[N, 3, S, S]``, RGB in 0..1."""
        ...


def open_engine(folder: Path, manifest: Manifest, device: str = "auto") -> Engine:
    """Load the graph of an export folder whose manifest was read; the engine may be pickled, and is then opened anew.

    Args:
        device: ``cpu``; also ``cuda`` for ONNX, and OpenVINO's own names (``gpu``, ``npu``) for OpenVINO. ``auto`` is
            ``cuda`` for an ONNX Runtime that has it, and otherwise ``cpu``.

    Raises:
        UserError: for an absent package or device, a damaged model, or one that does not fit its manifest.
    """
    path = folder / manifest.files[0].name
    if manifest.format == "torch":
        raise UserError(
            f"{folder} holds a torch.export program, which can run any code when it is loaded, so it is not: "
            "load the run itself, export it as onnx or openvino, or open the file with torch.export.load yourself."
        )
    if manifest.format == "onnx":
        return _OnnxEngine(path, manifest.image_size, device)
    if path.with_suffix(".bin").name not in {file.name for file in manifest.files}:
        raise _misfit(path)
    return _OpenVinoEngine(path, manifest.image_size, device)


@contextlib.contextmanager
def quiet_openvino() -> Iterator[None]:
    """Import OpenVINO (and NNCF) in here: they find no ``openvino_telemetry`` and so report to nobody."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # to the import system: not there
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


class _OnnxEngine:
    def __init__(self, path: Path, size: int, device: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise _absent(path, "onnxruntime") from error
        there = onnxruntime.get_available_providers()
        if device == "auto":
            device = "cuda" if _PROVIDERS["cuda"] in there else "cpu"
        self._opened = path, size, device
        provider = _PROVIDERS.get(device)
        if provider not in there:
            raise UserError(f"ONNX Runtime has no device {device!r} here: use cpu.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it has to say comes as an exception, too
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # its exceptions have no common base
            raise _damaged(path, "ONNX", error) from error
        (given, *others), outputs = self.session.get_inputs(), self.session.get_outputs()
        if others or given.name != INPUT or tuple(output.name for output in outputs) != OUTPUTS:
            raise _misfit(path)
        if [side if isinstance(side, int) else None for side in given.shape] != [None, 3, size, size]:
            raise _misfit(path)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        maps, scores = self.session.run(list(OUTPUTS), {INPUT: images})
        return maps[:, 0], scores

    def __reduce__(self) -> tuple[Any, ...]:
        return _OnnxEngine, self._opened


class _OpenVinoEngine:
    def __init__(self, path: Path, size: int, device: str) -> None:
        device = "cpu" if device == "auto" else device
        self._opened = path, size, device
        try:
            with quiet_openvino():
                import openvino
        except ImportError as error:
            raise _absent(path, "openvino") from error
        core: Any = openvino.Core()
        model: Any = None
        name = device.upper()
        if name.partition(".")[0] not in {known.partition(".")[0] for known in core.available_devices}:
            raise UserError(f"OpenVINO has no device {device!r} here; it has {', '.join(core.available_devices)}.")
        try:
            model = core.read_model(path, path.with_suffix(".bin"))
            ends = len(model.inputs), len(model.outputs)
            sides = [side.get_length() if side.is_static else None for side in model.input().get_partial_shape()]
            # Some processors would otherwise compute in bfloat16, which is not what was verified.
            compiled: Any = core.compile_model(model, name, {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:
            model = core = None
            raise _damaged(path, "OpenVINO", error) from error
        # An exception keeps the frame it left alive, and the collector may later free what is in it in an order that
        # OpenVINO does not survive: nothing of it may be there when one is raised.
        model = core = None
        if ends != (1, 2) or sides != [None, 3, size, size]:
            del compiled
            raise _misfit(path)
        self.compiled, self._own = compiled, threading.local()

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not hasattr(self._own, "request"):
            self._own.request = self.compiled.create_infer_request()  # each serves one thread at a time
        found = self._own.request.infer(images)
        return found[OUTPUTS[0]][:, 0], found[OUTPUTS[1]]

    def __reduce__(self) -> tuple[Any, ...]:
        return _OpenVinoEngine, self._opened


def _absent(path: Path, package: str) -> UserError:
    return UserError(f"{path.name} runs with {package}, which is not installed: {install_hint('runtime')}.")


def _damaged(path: Path, kind: str, error: Exception) -> UserError:
    reason = str(error).strip().splitlines()[:1] or [error.__class__.__name__]
    return UserError(f"{path} is damaged or no {kind} model ({reason[0][:200]}). Export the run again or restore it.")


def _misfit(path: Path) -> UserError:
    return UserError(f"{path} does not take and give what its inspector.json says. Export the run again or restore it.")
