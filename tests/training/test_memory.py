"""Freed memory goes back to the system."""

import platform
from pathlib import Path

import pytest
import torch

from realnet.training.memory import give_back_memory


def resident() -> int:
    """Bytes that this process has in memory."""
    with Path("/proc/self/statm").open(encoding="ascii") as stream:
        return int(stream.read().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what glibc keeps")
def test_gaps_between_tensors_are_given_back() -> None:
    tensors = [torch.ones(25_000) for _ in range(2000)]  # 100 kB each: of the heap, not of pages of their own
    kept = tensors[::50]
    del tensors
    before = resident()
    give_back_memory()
    assert before - resident() > 100e6
    assert all(bool((tensor == 1).all()) for tensor in kept)
