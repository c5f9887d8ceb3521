"""Hosts and ports: as text, and as sockets."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import Any

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  What a user asked for is looked up, nothing is bound.


def address(host: str, port: int) -> str:
    """Return a host, which may be an address of IPv6, and a port as one text."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return a host as it stands before a port: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def from_here(host: str) -> str:
    """Return where to ask, on this machine, a server that binds ``host``."""
    return _EVERYWHERE.get(host, host)


def numeric(host: str) -> str:
    """Return the IP address of a host.

    Raises:
        OSError: It has none.
    """
    try:
        return str(ip_address(host))
    except ValueError:
        *_, (resolved, *_) = _resolved(host)
        return str(resolved)


def bound(host: str, port: int) -> socket.socket:
    """Return a TCP socket that has a port and does not listen yet.

    Args:
        host: A name or an address of this machine.
        port: The port; 0 takes a free one.

    Raises:
        OSError: It cannot be had.
    """
    family, kind, protocol, (resolved, _, *more) = _resolved(host)
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((resolved, port, *more))
    except OverflowError as error:
        found.close()
        raise OSError(errno.EINVAL, f"{port} is no port") from error
    except OSError:
        found.close()
        raise
    return found


def _resolved(host: str) -> tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]:
    """Return a host's family, kind of socket, protocol and address."""
    try:
        # Without the port: what the C library makes of 99999 is 34463.
        family, kind, protocol, _, found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    except UnicodeError as error:
        raise OSError(errno.EINVAL, f"{host!r} is no host name") from error
    return family, kind, protocol, found
