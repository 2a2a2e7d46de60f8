"""Inspection over HTTP, and the page that uses it."""

from realnet.serving.application import make_app
from realnet.serving.models import ServedModel, open_models
from realnet.serving.settings import Settings

__all__ = ["ServedModel", "Settings", "make_app", "open_models"]
