"""The command line."""

from realnet.cli.app import main

__all__ = ["main"]
