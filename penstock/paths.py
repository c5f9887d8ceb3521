"""Paths as a person reads them."""

from __future__ import annotations

import os
from pathlib import Path


def shown_path(file: str | Path) -> str:
    """Return ``file`` relative to the working directory when it lies inside it, else absolute; on one line."""
    text = str(file)
    path = Path(os.path.abspath(text if text.isprintable() else repr(text)[1:-1]))  # noqa: PTH100 - `Path.absolute` keeps `..`
    cwd = Path.cwd()
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) and path != cwd else str(path)
