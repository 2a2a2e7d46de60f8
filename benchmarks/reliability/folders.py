"""Folders that are no honest runs or exports: what somebody might hand on to have code run, or files read."""

import hashlib
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spoil = Callable[[Path, Path], None]
"""Changes a copy of a run; the second path is a file that code in it would make (the canary)."""

MODEL, CONFIG, METRICS, CALIBRATION = "model.safetensors", "config.yaml", "metrics.json", "calibration.json"
_KEPT = (MODEL, CONFIG, METRICS, CALIBRATION)


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.canary}'",))


def copy_run(run: Path, folder: Path) -> None:
    """What inspectors are loaded from, of ``run``."""
    folder.mkdir(parents=True)
    for name in _KEPT:
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)


def _put(name: str, data: bytes | str) -> Spoil:
    def spoil(folder: Path, canary: Path) -> None:
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    return spoil


def _pickled(name: str) -> Spoil:
    def spoil(folder: Path, canary: Path) -> None:
        (folder / name).write_bytes(pickle.dumps(Touch(canary)))

    return spoil


def _weights_pth(folder: Path, canary: Path) -> None:
    """As a program might look for them when the safetensors file is gone."""
    (folder / MODEL).unlink()
    for name in ("model.pth", "model.pt", "pytorch_model.bin"):
        _pickled(name)(folder, canary)


def _yaml_tag(folder: Path, canary: Path) -> None:
    (folder / CONFIG).write_text(f"!!python/object/apply:os.system [\"touch '{canary}'\"]\n")


def _yaml_field(text: str) -> Spoil:
    """One field of the configuration says something else; ``text`` is a line at the top level."""

    def spoil(folder: Path, canary: Path) -> None:
        name = text.partition(":")[0]
        kept, inside = list[str](), False
        for line in (folder / CONFIG).read_text().splitlines():
            inside = line.startswith(f"{name}:") or (inside and line.startswith((" ", "-")))  # what it holds, too
            kept += [] if inside else [line]
        (folder / CONFIG).write_text("\n".join([*kept, text.replace("CANARY", str(canary))]) + "\n")

    return spoil


def _model_field(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    """What the configuration says of the model, changed; the weights are those of the unchanged one."""

    def spoil(folder: Path, canary: Path) -> None:
        import yaml

        config = yaml.safe_load((folder / CONFIG).read_text())
        change(config["model"])
        (folder / CONFIG).write_text(yaml.safe_dump(config))

    return spoil


def _laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines) + "\n"


def _laughing_field(folder: Path, canary: Path) -> None:
    _yaml_field("seed: *a11")(folder, canary)
    (folder / CONFIG).write_text(_laughs() + (folder / CONFIG).read_text())


def _own_header(length: int, header: bytes = b"{}") -> Spoil:
    return _put(MODEL, struct.pack("<Q", length) + header)


def _header(entry: dict[str, Any]) -> Spoil:
    header = json.dumps({"a": entry}).encode()
    return _own_header(len(header), header + bytes(16))


def _cut(share: float) -> Spoil:
    def spoil(folder: Path, canary: Path) -> None:
        length = (folder / MODEL).stat().st_size
        os.truncate(folder / MODEL, int(length * share))

    return spoil


def _tensors(change: Callable[[str, Any], Any]) -> Spoil:
    """Every tensor as ``change(name, tensor)`` has it."""

    def spoil(folder: Path, canary: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / MODEL)
        save_file({name: change(name, tensor).contiguous() for name, tensor in tensors.items()}, folder / MODEL)

    return spoil


def _one_weight(value: float) -> Spoil:
    def change(name: str, tensor: Any) -> Any:
        if tensor.is_floating_point() and tensor.numel():
            tensor.view(-1)[-1] = value
        return tensor

    return _tensors(change)


def _as_type(kind: str) -> Spoil:
    def change(name: str, tensor: Any) -> Any:
        import torch

        return tensor.to(getattr(torch, kind)) if tensor.is_floating_point() else tensor

    return _tensors(change)


def _complex_nan(folder: Path, canary: Path) -> None:
    _as_type("complex64")(folder, canary)
    _tensors(lambda name, tensor: tensor * float("nan") if tensor.is_complex() else tensor)(folder, canary)


def _indices(value: int) -> Spoil:
    return _tensors(lambda name, tensor: tensor if tensor.is_floating_point() else tensor * 0 + value)


def _fifo(name: str) -> Spoil:
    def spoil(folder: Path, canary: Path) -> None:
        for unread in (name, CALIBRATION):  # beside this, metrics.json is not read
            (folder / unread).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return spoil


def _metrics(change: dict[str, Any]) -> Spoil:
    """``metrics.json`` with other values; it is read, as there is no calibration beside."""

    def spoil(folder: Path, canary: Path) -> None:
        (folder / CALIBRATION).unlink(missing_ok=True)
        (folder / METRICS).write_text(json.dumps({**json.loads((folder / METRICS).read_text()), **change}))

    return spoil


def _uncalibrated(text: str) -> Spoil:
    def spoil(folder: Path, canary: Path) -> None:
        (folder / CALIBRATION).unlink(missing_ok=True)
        (folder / METRICS).write_text(text)

    return spoil


_CALIBRATION = {"score": 0.5, "pixel": 0.5, "asked": 0.1, "promised": 0.1, "confident": 0.2, "good_scores": [0.1, 0.2],
                "source": "good images", "date": "2026-01-01"}  # fmt: skip


def _calibration(**change: Any) -> Spoil:
    return _put(CALIBRATION, json.dumps({**_CALIBRATION, **change}))


DEEP = "[" * 100_000
DIGITS = "9" * 10_000
RUNS: dict[str, Spoil] = {
    "pickle as model.safetensors": _pickled(MODEL),
    "pickle as model.pth": _weights_pth,
    "pickle as config.yaml": _pickled(CONFIG),
    "YAML that calls a program": _yaml_tag,
    "YAML that calls a program, in a field": _yaml_field("seed: !!python/object/apply:os.system [\"touch 'CANARY'\"]"),
    "YAML that imports": _yaml_field("seed: !!python/name:os.system"),
    "billion laughs": _put(CONFIG, _laughs()),
    "billion laughs in a field": _laughing_field,
    "deep YAML": _put(CONFIG, DEEP),
    "YAML with a number of 10,000 digits": _yaml_field(f"seed: {DIGITS}"),
    "YAML with a date that is none": _yaml_field("seed: 2026-99-99"),
    "YAML with an unknown key of a list": _put(CONFIG, "? [a, b]\n: 1\n"),
    "YAML with NUL": _put(CONFIG, b"seed: \0\n"),
    "YAML of another type": _put(CONFIG, "- 1\n"),
    "config.yaml of 0 bytes": _put(CONFIG, b""),
    "a network of 10**12 channels": _model_field(
        lambda m: m["afs"].update(dimensions=[10**12] * len(m["afs"]["dimensions"]))
    ),
    "a network of 10**9 blocks": _model_field(lambda model: model["reconstruction"].update(residual_blocks=10**9)),
    "a discriminator of 10**9 channels": _model_field(lambda model: model["discriminator"].update(widths=[10**9] * 4)),
    "an image side of 10**9": _model_field(lambda model: model.update(image_size=32 * 10**8)),
    "safetensors header of 2**60 bytes": _own_header(2**60),
    "safetensors header of 2**64 - 1 bytes": _own_header(2**64 - 1),
    "safetensors header of garbage": _own_header(100, b"\xff" * 100),
    "safetensors header that is deep": _own_header(len(DEEP), DEEP.encode()),
    "tensor beyond the file": _header({"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}),
    "tensor that ends before it begins": _header({"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}),
    "tensor whose shape overflows": _header({"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 16]}),
    "tensor of an unknown type": _header({"dtype": "X9", "shape": [4], "data_offsets": [0, 16]}),
    "weights cut in the middle": _cut(0.5),
    "weights cut by a byte": _cut(0.999999),
    "weights of 0 bytes": _cut(0),
    "weights of NaN": _one_weight(float("nan")),
    "weights of infinity": _one_weight(float("inf")),
    "weights of NaN as complex numbers": _complex_nan,
    "indices of -1": _indices(-1),
    "indices of 2**40": _indices(2**40),
    "metrics.json that is a list": _uncalibrated("[1]"),
    "metrics.json that is deep": _uncalibrated(DEEP),
    "metrics.json with a number of 10,000 digits": _uncalibrated(f'{{"imported": {{"file": "", "epoch": {DIGITS}}}}}'),
    "no calibration.json": _uncalibrated("{}"),
    "metrics.json that is a FIFO": _fifo(METRICS),
    "calibration.json that is deep": _put(CALIBRATION, DEEP),
    "calibration.json of another type": _put(CALIBRATION, "[]"),
    "calibration.json with a word": _calibration(score="high"),
    "calibration.json with NaN": _calibration(score=float("nan")),
    "calibration.json with a threshold of 7": _calibration(score=7),
    "calibration.json without good scores": _calibration(good_scores=[]),
    "calibration.json of 10 MB that ends early": _put(CALIBRATION, '{"source": "' + "x" * 10_000_000),
}
# Odd, and perhaps of use all the same: either the command does its work or it refuses, in one sentence.
EITHER: dict[str, Spoil] = {
    "metrics.json with training of another type": _metrics({"training": [1]}),
    "metrics.json with categories of another type": _metrics({"training": {"categories": 5}}),
    "metrics.json of 10 MB": _metrics({"more": "x" * 10_000_000}),
    "calibration.json of 10 MB": _calibration(good_scores=[0.1] * 2_000_000),
    "calibration.json with a confidence of 7": _calibration(confidence=7, defects_found=-3),
    "weights of 1e38": _one_weight(1e38),
    "weights as float8": _as_type("float8_e4m3fn"),
    "weights as complex": _as_type("complex64"),
    "weights as float16": _as_type("float16"),
    "a synthesis that reads /etc": _yaml_field("synthesis: {source: dtd, directory: /etc}"),
}


def _described(path: Path) -> dict[str, Any]:
    data = path.read_bytes() if path.is_file() else b"x"
    return {"name": path.name, "length": len(data) or 1, "sha256": hashlib.sha256(data).hexdigest()}


def _manifest(folder: Path, files: list[dict[str, Any]], **change: Any) -> None:
    record = {"version": 1, "format": "onnx", "files": files, "image_size": 64, "image_score": "max", "threshold": 0.5,
              "pixel_threshold": 0.5, "verification": {}, "provenance": {}, "licence": "none", **change}  # fmt: skip
    (folder / "inspector.json").write_text(json.dumps(record))


def _export(data: Callable[[Path], bytes], name: str = "model.onnx", **change: Any) -> Spoil:
    """An export whose manifest describes its model truly."""

    def spoil(folder: Path, canary: Path) -> None:
        (folder / name).write_bytes(data(canary))
        _manifest(folder, [_described(folder / name)], **change)

    return spoil


def _elsewhere(name: str) -> Spoil:
    def spoil(folder: Path, canary: Path) -> None:
        (folder.parent / "secret.onnx").write_bytes(b"secret")
        described = _described(folder.parent / "secret.onnx")
        _manifest(folder, [{**described, "name": name.replace("FOLDER", str(folder.parent))}])

    return spoil


def _link_out(folder: Path, canary: Path) -> None:
    _elsewhere("model.onnx")(folder, canary)
    (folder / "model.onnx").symlink_to(folder.parent / "secret.onnx")


def _garbage(canary: Path) -> bytes:
    return b"\x08\x08garbage" * 50


def _pickle(canary: Path) -> bytes:
    return pickle.dumps(Touch(canary))


EXPORTS: dict[str, Spoil] = {
    "export: path out of the folder": _elsewhere("../secret.onnx"),
    "export: absolute path": _elsewhere("FOLDER/secret.onnx"),
    "export: link out of the folder": _link_out,
    "export: garbage as ONNX": _export(_garbage),
    "export: pickle as ONNX": _export(_pickle),
    "export: pickle as torch": _export(_pickle, "model.pt2", format="torch"),
    "export: garbage as OpenVINO": _export(_garbage, "model.xml", format="openvino"),
    "export: threshold of a word": _export(_garbage, threshold="low"),
    "export: threshold of NaN": _export(_garbage, threshold=float("nan")),
    "export: side of 10**9": _export(_garbage, image_size=32 * 10**8),
    "export: inspector.json of 10 MB": _export(_garbage, licence="x" * 10_000_000),
    "export: inspector.json that is deep": _put("inspector.json", DEEP),
    "export: inspector.json that is a list": _put("inspector.json", "[]"),
    "export: digest of another file": lambda folder, canary: _manifest(folder, [_described(folder / "model.onnx")]),
}
