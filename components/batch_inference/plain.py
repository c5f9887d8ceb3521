"""Values as JSON has them."""

from __future__ import annotations

import base64
from typing import Any


def plain_value(value: Any) -> Any:
    """Return a value that JSON can hold: bytes that are no text become ``{"b64": …}``, as the REST API writes them."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
