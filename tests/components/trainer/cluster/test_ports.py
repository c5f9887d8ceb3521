from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.components.trainer.cluster import ports
from penstock.components.trainer.cluster.ports import check_own_port, local_cluster
from penstock.components.trainer.cluster.topology import Cluster, Task
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy
from penstock.errors import EnvironmentProblem
from tests.ports import IPV6, free_port

MIRRORED = MultiWorkerMirroredStrategy(name="multi_worker_mirrored", workers=3)


@pytest.fixture(params=["127.0.0.1", "", pytest.param("::", marks=IPV6)])
def listener(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port that this process listens on."""
    family = socket.AF_INET6 if request.param == "::" else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((request.param, 0))
        server.listen()
        yield server.getsockname()[1]


def worker_at(port: int) -> Cluster:
    return Cluster({"worker": ("10.0.0.9:1", f"10.0.0.10:{port}")})


class TestLocalCluster:
    def test_mirrored_workers(self) -> None:
        cluster = local_cluster(MIRRORED)
        assert str(cluster) == "3 workers"
        assert len({*cluster.addresses["worker"]}) == 3

    def test_parameter_servers(self) -> None:
        cluster = local_cluster(ParameterServerStrategy(name="parameter_server", workers=2, ps=3))
        assert str(cluster) == "1 chief, 2 workers, 3 ps"
        assert len({cluster.address(task) for task in cluster.tasks}) == 6

    def test_ports_are_free_on_this_machine(self) -> None:
        cluster = local_cluster(MIRRORED)
        for task in cluster.tasks:
            host, _, port = cluster.address(task).partition(":")
            assert host == "127.0.0.1"
            assert 15_000 <= int(port) < 25_000
            check_own_port(cluster, task)

    def test_an_occupied_port_is_not_taken(self, listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ports, "_CANDIDATES", range(listener, listener + 1))
        with pytest.raises(EnvironmentProblem) as raised:
            local_cluster(MIRRORED)
        assert str(raised.value) == (
            "there are not enough free ports for the cluster\n"
            f"  received: 0 free ports from {listener} to {listener}\n"
            "  expected: 3\n"
            "  next: end processes that listen on ports, or set fewer workers"
        )


class TestCheckOwnPort:
    def test_occupied(self, listener: int) -> None:
        with pytest.raises(EnvironmentProblem) as raised:
            check_own_port(worker_at(listener), Task("worker", 1))
        name = Path("/proc/self/comm").read_text().strip()
        assert str(raised.value) == (
            f"worker 1: port {listener} is already in use\n"
            f"  received: address 10.0.0.10:{listener}; {name} (process {os.getpid()}) listens on the port\n"
            "  expected: a free port\n"
            "  next: end the process that uses it, or give the task another port"
        )

    def test_held_by_somebody_unknown(self, listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ports, "_holder", lambda port: None)
        with pytest.raises(EnvironmentProblem) as raised:
            check_own_port(worker_at(listener), Task("worker", 1))
        assert raised.value.received == f"address 10.0.0.10:{listener}"

    def test_forbidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def bind(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(socket.socket, "bind", bind)
        with pytest.raises(EnvironmentProblem) as raised:
            check_own_port(worker_at(80), Task("worker", 1))
        assert str(raised.value) == (
            "worker 1: port 80 cannot be used: Permission denied\n"
            "  received: address 10.0.0.10:80\n"
            "  expected: a free port\n"
            "  next: give the task another port, 1024 or higher"
        )

    def test_connections_of_a_predecessor_do_not_matter(self) -> None:
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = free_port()
            server.bind(("127.0.0.1", port))
            server.listen()
            with socket.create_connection(("127.0.0.1", port)) as client:
                accepted, _ = server.accept()
                accepted.close()  # The side that closes first keeps the port in TIME_WAIT.
                assert client.recv(1) == b""
        check_own_port(worker_at(port), Task("worker", 1))

    def test_an_evaluator_that_is_not_listed_needs_none(self) -> None:
        check_own_port(worker_at(1), Task("evaluator", 0))
