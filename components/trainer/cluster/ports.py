"""Ports of this machine: free ones for a cluster of its own, and whether a task can have the one it was given."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from random import SystemRandom

from penstock.components.trainer.cluster.topology import Cluster, Task
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy
from penstock.errors import EnvironmentProblem

# Below the range that Linux takes the ports of outgoing connections from: the tasks connect to each other while some
# do not listen yet, and must not take each other's ports.
_CANDIDATES = range(15_000, 25_000)
_LISTENING = "0A"


def local_cluster(strategy: MultiWorkerMirroredStrategy | ParameterServerStrategy) -> Cluster:
    """Return a cluster on free ports of this machine.

    Without parameter servers worker 0 is the chief; with them there is a chief of its own, which does not train.

    Raises:
        EnvironmentProblem: There are not enough free ports.
    """
    if isinstance(strategy, MultiWorkerMirroredStrategy):
        return Cluster({"worker": free_addresses(strategy.workers)})
    chief, *others = free_addresses(1 + strategy.workers + strategy.ps)
    return Cluster(
        {"chief": (chief,), "worker": tuple(others[: strategy.workers]), "ps": tuple(others[strategy.workers :])}
    )


def check_own_port(cluster: Cluster, task: Task) -> None:
    """Check that ``task``, which is this process, can listen on its port; TensorFlow's own message names none.

    Raises:
        EnvironmentProblem: It cannot, because another process does or the system forbids it.
    """
    if task not in cluster.tasks:
        return  # An evaluator that is not listed, which nobody connects to.
    address = cluster.address(task)
    port = int(address.rpartition(":")[2])
    with socket.socket() as probe:
        # As TensorFlow does: ports of connections that a killed predecessor left are free, listeners' are not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            holder = _holder(port) if in_use else None
            raise EnvironmentProblem(
                f"port {port} is already in use" if in_use else f"port {port} cannot be used: {error.strerror}",
                where=str(task),
                received=f"address {address}" + (f"; {holder} listens on the port" if holder else ""),
                expected="a free port",
                hint="end the process that uses it, or give the task another port"
                if in_use
                else "give the task another port, 1024 or higher",
            ) from error


def free_addresses(count: int) -> tuple[str, ...]:
    """Return addresses of this machine whose ports are free.

    Raises:
        EnvironmentProblem: There are not enough.
    """
    with ExitStack() as held:
        ports = tuple(islice(filter(lambda port: _take(port, held), _in_random_order()), count))
    if len(ports) < count:
        raise EnvironmentProblem(
            "there are not enough free ports for the cluster",
            received=f"{len(ports)} free ports from {_CANDIDATES.start} to {_CANDIDATES.stop - 1}",
            expected=f"{count}",
            hint="end processes that listen on ports, or set fewer workers",
        )
    return tuple(f"127.0.0.1:{port}" for port in ports)


def _in_random_order() -> list[int]:
    # Not from `random`, which runs of one seed would all ask for the same ports.
    return SystemRandom().sample(_CANDIDATES, len(_CANDIDATES))


def _take(port: int, held: ExitStack) -> bool:
    """Bind ``port`` for as long as ``held`` is open; False if it is not free."""
    probe = held.enter_context(socket.socket())
    try:
        probe.bind(("", port))
    except OSError:
        return False
    return True


def _holder(port: int) -> str | None:
    """Return ``python (process 123)`` of who listens on ``port``, or None where the system does not tell this user."""
    sockets = {
        f"socket:[{fields[9]}]"
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()  # A kernel without IPv6 has one of them.
        for fields in map(str.split, table.read_text(encoding="ascii").splitlines())
        if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port
    }
    for process in Path("/proc").glob("[0-9]*"):
        # Other users' processes, and those that have just ended, cannot be looked into.
        with suppress(OSError):
            if any(descriptor.resolve().name in sockets for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text(encoding='utf-8').strip()} (process {process.name})"
    return None
