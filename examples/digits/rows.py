"""Prints held-out digits as a client sends them: ``python -m examples.digits.rows 2 > rows.json``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from examples.digits.sources import Split, from_sklearn


def rows(split: Split, count: int) -> list[dict[str, list[float]]]:
    """Return the first ``count`` images as rows of the signature ``predict``, {"image": [height * width values]}."""
    return [{"image": image.tolist()} for image in split.images[:count]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.digits.rows", description="Print digits as JSON rows.")
    parser.add_argument("count", type=int, nargs="?", default=2, help="how many (2)")
    arguments = parser.parse_args(argv)
    held_out = from_sklearn()["eval"]
    print(json.dumps(rows(held_out, arguments.count)))
    print("labels:", *held_out.labels[: arguments.count], file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
