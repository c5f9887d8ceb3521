"""Hosts and ports, as text and as sockets."""

import errno

import pytest

from penstock.serving.addresses import address, bound, from_here, numeric
from tests.ports import IPV6


@pytest.mark.parametrize(
    ("host", "text"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("localhost", "localhost:80")]
)
def test_as_text(host, text):
    assert address(host, 80) == text


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")])
def test_what_is_bound_everywhere_is_asked_on_this_machine(host, asked):
    assert from_here(host) == asked


def test_as_numbers():
    assert numeric("0:0::1") == "::1"
    assert numeric("localhost") in ("127.0.0.1", "::1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", pytest.param("::1", marks=IPV6)])
def test_a_port_is_taken(host):
    with bound(host, 0) as found:
        port = found.getsockname()[1]
        found.listen()
        with pytest.raises(OSError, match="Address already in use") as caught:
            bound(host, port)
    assert caught.value.errno == errno.EADDRINUSE
    bound(host, port).close()


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", 99999, "99999 is no port"),
        ("127.0.0.1", -1, "-1 is no port"),
        ("192.0.2.1", 0, "Cannot assign requested address"),
        ("a..b", 0, "'a..b' is no host name"),
        ("a" * 64, 0, f"'{'a' * 64}' is no host name"),
        ("no.such.host.invalid", 0, "Name|name|resolution"),
    ],
)
def test_what_cannot_be_had_is_one_kind_of_error(host, port, reason):
    with pytest.raises(OSError, match=reason) as caught:
        bound(host, port)
    assert caught.value.strerror
