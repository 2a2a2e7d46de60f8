"""Memory that is free again and is given back."""

import contextlib
import ctypes


def give_back_memory() -> None:
    """Let the C library give back to the system what was freed; where it is not glibc, nothing happens.

    Tensors of some megabytes that come and go leave gaps that it would keep: a sixth of a training's peak.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
