"""What a request's method and path ask for.

Upper and lower case are one in ``/v1/models``, ``/versions/`` and ``/labels/``. As in TensorFlow Serving, which
compares what its pattern found letter by letter, an operation in capitals is malformed and ``/METADATA`` asks for the
status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from penstock.serving.errors import Code, ServingError

OPERATIONS = frozenset({"predict", "classify", "regress"})
_OPERATION = re.compile(
    r"(?i:/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?:(classify|regress|predict))", re.DOTALL
)
_LOOK = re.compile(r"(?i:/v1/models(?:/([^/:]+))?(?:/versions/([0-9]+)|/labels/([^/:]+))?(?:/(metadata))?)", re.DOTALL)
_GREATEST_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Target:
    """A model, perhaps one version of it, and what is wanted.

    Attributes:
        model: The model's name, percent signs decoded.
        version: The number in ``/versions/``.
        label: The name in ``/labels/``, percent signs decoded. Never given together with ``version``.
        action: ``predict``, ``classify``, ``regress``, ``status`` or ``metadata``.
    """

    model: str
    version: int | None
    label: str | None
    action: str


def is_api(path: str) -> bool:
    """Whether the path belongs to the API; what does not is unknown to the server."""
    return path[:4].lower() == "/v1/"


def parse(method: str, path: str) -> Target:
    """Return what is asked for.

    Args:
        method: The HTTP method.
        path: Path and query as they were sent, not decoded. A query makes a path malformed or part of a name.

    Raises:
        ServingError: INVALID_ARGUMENT: the path is malformed, the version too large, or no model is named.
    """
    match = {"POST": _OPERATION, "GET": _LOOK}[method].fullmatch(path) if method in ("POST", "GET") else None
    if match is None:
        raise _malformed(method, path)
    name, version, label, last = match.groups()
    if method == "POST" and last not in OPERATIONS:
        raise _malformed(method, path)
    number = _version(version)
    if name is None:
        raise ServingError(Code.INVALID_ARGUMENT, "Missing model name in request.")
    action = last if method == "POST" else "metadata" if last == "metadata" else "status"
    return Target(_decode(name), number, None if label is None else _decode(label), action)


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    # Python refuses to read thousands of digits at all.
    if len(digits.lstrip("0")) > 19 or int(digits) > _GREATEST_VERSION:
        raise ServingError(Code.INVALID_ARGUMENT, f"Failed to convert version: {digits} to numeric.")
    return int(digits)


def _decode(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _malformed(method: str, path: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, f"Malformed request: {method} {path}")
