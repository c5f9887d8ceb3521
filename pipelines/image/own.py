"""Writes the Dockerfile and the ignore file of a checkout of Penstock: ``python -m penstock.pipelines.image.own``."""

from __future__ import annotations

import sys
from pathlib import Path

from penstock.pipelines.image.dockerfile import own_dockerfile, own_ignore


def main(checkout: Path) -> None:
    """Write both files."""
    (checkout / "Dockerfile").write_text(own_dockerfile(), encoding="utf-8")
    (checkout / ".dockerignore").write_text(own_ignore(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd())
