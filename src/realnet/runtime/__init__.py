"""Inspection from an export folder with numpy, OpenCV, Pillow and OpenVINO or ONNX Runtime; torch is never imported."""

from realnet.runtime.inspector import ExportedInspector, load_exported
from realnet.runtime.manifest import INSPECTOR_FILE, Manifest, is_export, read_manifest

__all__ = ["INSPECTOR_FILE", "ExportedInspector", "Manifest", "is_export", "load_exported", "read_manifest"]
