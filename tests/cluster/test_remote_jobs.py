"""Jobs of a benchmark on several machines."""

from pathlib import Path

import pytest

from realnet.benchmark.expand import Settings, expand
from realnet.benchmark.jobs import read_outcome
from realnet.benchmark.plan import parse_plan
from realnet.benchmark.products import find_products
from realnet.benchmark.runner import Observer, Runner, failed
from realnet.cluster.connection import Cluster
from realnet.cluster.remote_jobs import worker_on
from tests.cluster.conftest import Nodes
from tests.data.layouts import make_mvtec
from tests.training.tiny import FIELDS

PLAN = parse_plan(
    "p", "title: T\nquestion: Q?\nrows:\n  - {name: A, synthesis: nsa}\n  - {name: B, synthesis: cutpaste}\n"
)


@pytest.mark.slow
def test_jobs_give_the_same_figures_though_a_machine_is_lost(cluster: Cluster, two: Nodes, tmp_path: Path) -> None:
    root = make_mvtec(tmp_path / "set", categories=("cap",))
    lost: list[bool] = []

    class Losing(Observer):
        def says(self, job: object, line: str, seconds: float) -> None:
            if line and not lost:  # a job is at work
                lost.append(True)
                two.lose()

    def figures(folder: Path, laboratory: Runner) -> list[float]:
        entries = list(expand(PLAN, find_products([str(root)]), Settings(assignments=FIELDS), folder))
        settled = laboratory.run(entries)
        assert not failed(settled), [finished.failure for finished in settled]
        outcomes = [read_outcome(folder / entry.job.folder) for entry in entries if entry.job]
        return [outcome.results.categories[0].pixel_auroc for outcome in outcomes if outcome and outcome.results]  # type: ignore[misc]

    spread = figures(tmp_path / "spread", Runner(tmp_path / "spread", Losing(), 2, worker=worker_on(cluster)))
    assert lost
    assert spread == figures(tmp_path / "here", Runner(tmp_path / "here", at_once=2))
    assert len(spread) == 2
