"""Inspection over HTTP, and the page that uses it."""

from realnet.serving.application import make_app
from realnet.serving.models import ServedModel, open_models
from realnet.serving.settings import Settings
from realnet.serving.shelf import Shelf, open_shelf

__all__ = ["ServedModel", "Settings", "Shelf", "make_app", "open_models", "open_shelf"]
