"""Ports of this machine for tests: one that a server is started on later, and one that nobody listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from random import SystemRandom

import pytest

# Below the ports that Linux takes for outgoing connections, and for who binds port 0: between the end of this function
# and the start of a server, and while a server is stopped, no other process gets the port by chance.
_CANDIDATES = range(25_000, 32_700)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port for a server that is started later, or again and again."""
    # Not from `random`, which a test may have seeded as another process has.
    for port in SystemRandom().sample(_CANDIDATES, len(_CANDIDATES)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port from {_CANDIDATES.start} to {_CANDIDATES.stop - 1} is free")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
"""For a test that needs the loopback of IPv6, which a container may lack though its kernel knows the protocol."""


@contextmanager
def refusing() -> Iterator[int]:
    """Give a port that refuses every connection: it is bound, so that nobody else gets it, and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
