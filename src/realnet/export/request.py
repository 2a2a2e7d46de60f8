"""What is asked of an export, checked before torch is loaded."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast, get_args

from realnet.data import Sample, open_dataset, open_good
from realnet.data.finding import LeftOut
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.manifest import ExportFormat
from realnet.run_folder import Run

FORMATS: tuple[str, ...] = get_args(ExportFormat)
_PACKAGES: dict[ExportFormat, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "openvino-fp16": ("openvino",),
    "openvino-int8": ("openvino", "nncf"),
    "torch": (),
}


@dataclass(frozen=True)
class Request:
    """An export that is possible, and the real images for it. Made by :func:`request_export`.

    Attributes:
        form: the format.
        shown: images to compare on, good or not.
        good: good images, which calibrate 8 bits and of which the held-out ones are told apart as in training.
        left_out: what lies beside them and is not used.
    """

    form: ExportFormat
    shown: tuple[Path, ...]
    good: tuple[Sample, ...]
    left_out: tuple[LeftOut, ...] = ()


def request_export(
    run: Run,
    output: Path,
    form: str,
    images: Path | None = None,
    data: str | Path | None = None,
    category: str | None = None,
) -> Request:
    """What is asked for, once it is known to be possible, with the format's packages and an ``output`` new or empty.

    Images are good ones and nothing else, or in their place those of ``data``: its good training images and, for the
    comparison, its test images, too, of one ``category`` or those that the run was trained on.

    Raises:
        UserError: for another format or an absent package, a place in use, where neither images nor data is given or
            both are, or there is no image.
    """
    checked = check_format(form)
    if checked == "openvino-int8" and run.members:
        raise UserError(
            f"{run.folder} is an inspector of several products, which 8 bits were never measured with: choose another "
            f"--format, or export one of {', '.join(str(member.folder) for member in run.members)}."
        )
    check_output(output)
    if (data is None) == (images is None):
        raise UserError(
            "An export is verified on real images: give good ones with --images, or the data set with --data"
            f"{', not both' if data is not None else ''}."
        )
    if images is not None:
        name = run.products[0] if len(run.products) == 1 else "product"
        chosen = open_good([images])
        files = tuple(sample.image for sample in chosen.train)
        return Request(checked, files, tuple(Sample(file, name, "train") for file in files), tuple(chosen.left_out))
    categories = run.own(open_dataset(Path(str(data)), category))
    good = tuple(sample for found in categories for sample in found.train)
    test = tuple(sample.image for found in categories for sample in found.test)
    return Request(checked, (*(sample.image for sample in good), *test), good)


def check_format(name: str) -> ExportFormat:
    """``name`` as a format whose packages are installed; UserError for another name, or an absent package."""
    if name not in FORMATS:
        raise UserError(f"There is no export format {name!r}; choose one of {', '.join(FORMATS)}.")
    form = cast(ExportFormat, name)
    missing = [package for package in _PACKAGES[form] if find_spec(package) is None]
    if missing:
        raise UserError(f"--format {form} needs {' and '.join(missing)}: {install_hint('export')}.")
    return form


def check_output(output: Path) -> None:
    """Refuse a place that is in use; UserError for a file, or a folder that is not empty."""
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; give --output a folder.")
    if output.is_dir() and (inside := [path.name for path in output.iterdir()]):
        raise UserError(f"{output} is not empty (it holds {min(inside)}); give --output a new folder.")
