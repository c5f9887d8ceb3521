"""Names, labels and durations: what the Pusher's parameters may say."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?", re.ASCII)
_LONGEST = 128
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def require_model_name(name: str) -> str:
    """Return a model's name that is one part of a URL and of a path.

    Raises:
        ValueError: It is not.
    """
    return _require(name, "a model's name")


def require_label(label: str) -> str:
    """Return a label that is one part of a URL.

    Raises:
        ValueError: It is not.
    """
    return _require(label, "a label")


def require_address(address: str) -> str:
    """Return a ``host:port``.

    Raises:
        ValueError: It is none.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"must be host:port, such as localhost:8500; received {address!r}")
    return address


def is_name(text: str) -> bool:
    """Whether a text is one part of a URL and of a path."""
    return bool(_NAME.fullmatch(text)) and ".." not in text and len(text) <= _LONGEST


def _require(text: str, what: str) -> str:
    if not is_name(text):
        raise ValueError(
            f"{what} is made of letters, digits, _, - and single dots inside, {_LONGEST} at most; received {text!r}"
        )
    return text


def seconds(duration: str) -> float:
    """Return how long ``500ms``, ``60s``, ``5m`` or ``1h`` is, in seconds.

    Raises:
        ValueError: The text is no duration, or none at all long.
    """
    found = _DURATION.fullmatch(duration)
    length = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not length:
        raise ValueError(f"must be a duration such as 500ms, 60s, 5m or 1h; received {duration!r}")
    return length


def is_url(path: str) -> bool:
    """Whether a path is one in an object store."""
    return "://" in path
