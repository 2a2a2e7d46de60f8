"""Jobs of a benchmark done on a cluster whose machines share the folders of data and jobs."""

import contextlib
import os
import platform
from collections.abc import Callable
from pathlib import Path

from realnet.benchmark.jobs import LOG_FILE
from realnet.benchmark.runner import Runner, Worker, start_job
from realnet.cluster.connection import Cluster
from realnet.errors import UserError

_POLL_SECONDS = 0.5


def worker_on(cluster: Cluster) -> Worker:
    """For :class:`realnet.benchmark.runner.Runner`: each job is done by a machine of ``cluster``, in the job's folder.

    A job whose machine is lost is begun by another one, which continues from its last checkpoint.
    """
    remote = cluster.remote(_do)

    def work(place: Path, laboratory: Runner, says: Callable[[], None]) -> int:
        reference = remote(str(place), cluster.share.cpus)
        try:
            while not cluster.ray.wait([reference], timeout=_POLL_SECONDS)[0]:
                if laboratory.stopped:
                    return 130
                says()
            return int(cluster.get(reference))
        finally:
            # What is under way ends with the process that waits for it, and continues from its checkpoint next time.
            with contextlib.suppress(Exception):
                cluster.give_up([reference])

    return work


def _do(place: str, cpus: float) -> int:
    """On the machine: the status that the job's process ended with."""
    folder = Path(place)
    if not folder.is_dir():
        raise UserError(
            f"{platform.node()} has no folder {folder}: the machines of the cluster need the folders of --data and "
            "--output at the same place, on a disk that they share."
        )
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, int(cpus)))}
    with (folder / LOG_FILE).open("w", encoding="utf-8") as stream:
        return start_job(folder, stream, environment).wait()
