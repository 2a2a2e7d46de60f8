"""A connection to a Ray cluster, and pieces of work spread over it."""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from realnet.distribution import install_hint
from realnet.errors import UserError

# Pieces that wait on the cluster for each one that is at work: none idles, and none piles up results.
_AHEAD = 2
_POLL_SECONDS = 1.0
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Share:
    """What one piece of work takes of a machine: cores, and GPUs (also a part of one)."""

    cpus: float = 1
    gpus: float = 0

    @property
    def device(self) -> str:
        """Where a network runs then."""
        return "cuda" if self.gpus else "cpu"


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to. Made by :func:`connected`."""

    ray: Any
    share: Share

    @property
    def room(self) -> int:
        """How many pieces can be at work at once, on the machines that are there now."""
        return max(1, sum(_fits(node, self.share) for node in _nodes(self.ray)))

    def remote(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` for the machines: called, it gives a reference to what comes out; see :meth:`get`.

        What a lost machine did is done again elsewhere, however often. A process is kept for many calls, with what it
        has loaded; Ray would end those with GPUs after each.
        """
        share = {"num_cpus": self.share.cpus, "num_gpus": self.share.gpus}
        made = self.ray.remote(**share, max_retries=-1, max_calls=0, scheduling_strategy="SPREAD")(function)
        return made.remote  # type: ignore[no-any-return]

    def spread(
        self, function: Callable[..., Any], pieces: Iterable[Any], shared: Mapping[str, Any]
    ) -> Iterator[tuple[Any, Any]]:
        """Each piece with ``function(piece, **shared)``, as they become ready.

        A piece whose machine is lost is given to another one. It may so run twice, but comes back once. UserError where
        ``function`` raises one, RuntimeError where it fails otherwise; the others are given up.
        """
        remote = self.remote(function)
        waiting: dict[Any, Any] = {}
        remaining = iter(pieces)
        try:
            while True:
                for piece in remaining:
                    waiting[remote(piece, **shared)] = piece
                    if len(waiting) >= _AHEAD * self.room:
                        break
                if not waiting:
                    return
                ready, _ = self.ray.wait(list(waiting), timeout=_POLL_SECONDS)
                for reference in ready:
                    piece = waiting.pop(reference)
                    yield piece, self.get(reference)
        finally:
            self.give_up(list(waiting))

    def give_up(self, references: list[Any]) -> None:
        """End what of them has not ended.

        What has ended must not be cancelled: its result is there before Ray has noted its end, and a cancellation in
        between aborts this whole process.
        """
        if references:
            _, pending = self.ray.wait(references, num_returns=len(references), timeout=0)
            for reference in pending:
                self.ray.cancel(reference, force=True)

    def get(self, reference: Any) -> Any:
        """What a remote function returned; UserError as it raised, RuntimeError where it failed otherwise."""
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise translated(error) from None


def translated(error: BaseException) -> Exception:
    """What failed on another machine, as if it had failed here; Ray wraps it, once or several times."""
    # Ray's own exception is of its cause's class, too, and says a whole traceback.
    while (inner := getattr(error, "cause", None)) is not None:
        error = inner
    if not isinstance(error, UserError):
        return RuntimeError(f"On the cluster: {type(error).__name__}: {error}")
    return UserError(str(error))


@contextlib.contextmanager
def connected(address: str, share: Share) -> Iterator[Cluster]:
    """Connect to the cluster at ``address`` while the block runs.

    Args:
        address: ``local``: this machine alone; ``auto``: the cluster that this machine belongs to; ``HOST:PORT`` of its
            head, for a machine that belongs to it.

    Raises:
        UserError: where Ray is not installed, there is no cluster, or no machine of it has so much.
    """
    # It tells nobody about itself, and leaves alone which GPUs a process sees that asked for none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"Work over many machines needs Ray: {install_hint('ray')}.") from error
    _refuse_deaf(address)
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # its exceptions have no common base
        raise _no_cluster(address, str(error).strip().partition("\n")[0][:200]) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        if not any(_fits(node, share) for node in _nodes(ray)):
            raise UserError(
                f"No machine of the cluster has {share.cpus:g} cores and {share.gpus:g} GPUs: lower --ray-cpus or "
                "--ray-gpus."
            )
        yield Cluster(ray, share)
    finally:
        ray.shutdown()


def _refuse_deaf(address: str) -> None:
    """Ask whether anybody listens there: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> UserError:
    return UserError(
        f"There is no Ray cluster at {address}: start one with `ray start --head`, or use --ray local ({reason})."
    )


def _nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _fits(resources: Mapping[str, float], share: Share) -> int:
    wanted = {"CPU": share.cpus, "GPU": share.gpus}
    return int(min(resources.get(name, 0.0) / amount for name, amount in wanted.items() if amount))
