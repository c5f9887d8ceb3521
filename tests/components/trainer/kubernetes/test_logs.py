"""A pod's log where the cluster does not answer."""

from __future__ import annotations

import socket
import threading

from penstock.components.trainer.cluster.topology import Task
from penstock.components.trainer.kubernetes.connection import Connection
from penstock.components.trainer.kubernetes.logs import PodLog


def test_what_cannot_be_read_is_given_up() -> None:
    from kubernetes import client

    # Bound and not listening: nothing answers there, and nobody else gets the port.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        configuration = client.Configuration(host=f"http://127.0.0.1:{taken.getsockname()[1]}")
        configuration.retries = False
        connection = Connection(client.ApiClient(configuration), "default", configuration.host)
        log = PodLog(connection, Task("chief", 0), "pod-of-this-test", lambda *_: None)
        (thread,) = (each for each in threading.enumerate() if each.name == "log of pod-of-this-test")
        log.finish(0.0)
        thread.join(60)
        assert not thread.is_alive()
        assert log.last_lines() == []
