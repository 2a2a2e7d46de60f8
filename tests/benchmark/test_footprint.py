"""What a process held is its own."""

import subprocess
import sys

import numpy as np
import pytest

from realnet.benchmark.footprint import peak_memory

SAY = "from realnet.benchmark.footprint import peak_memory; print(peak_memory())"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system says it of the process alone")
def test_the_memory_of_the_process_that_started_it_does_not_count() -> None:
    large = np.ones(100_000_000)  # 800 MB
    own = peak_memory()
    said = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True).stdout
    assert own is not None and own > large.nbytes
    assert 10e6 < int(said) < 0.5 * large.nbytes
