"""Writes scikit-learn's wine data as CSV: ``python -m examples.wine.data data/wine``."""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

LABEL = "cultivar"


def to_csv() -> str:
    """Return 178 wines as CSV with a header: 13 measurements, ``color_band`` (text) and ``cultivar`` (0, 1 or 2)."""
    from sklearn.datasets import load_wine

    wine = load_wine()
    names = [name.replace("/", "_") for name in wine.feature_names]
    color = names.index("color_intensity")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*names, "color_band", LABEL])
    for measurements, cultivar in zip(wine.data.tolist(), wine.target.tolist(), strict=True):
        table.writerow([*measurements, _color_band(measurements[color]), cultivar])
    return text.getvalue()


def _color_band(intensity: float) -> str:
    if intensity <= 3.5:
        return "pale"
    return "medium" if intensity <= 6 else "deep"


def write(folder: Path) -> bool:
    """Write ``wine.csv`` into a folder, unless it is there already; return whether it was written."""
    target, content = folder / "wine.csv", to_csv().encode()
    if target.is_file() and target.read_bytes() == content:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the folder, not in it: CsvExampleGen reads every file of the folder.
    unfinished = folder.parent / f".{folder.name}-{os.getpid()}.csv"
    try:
        with unfinished.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.wine.data", description="Write wines as CSV.")
    parser.add_argument("folder", type=Path, help="where wine.csv goes, for example data/wine")
    folder = parser.parse_args(argv).folder
    try:
        written = write(folder)
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}\n  next: check the path and its permissions", file=sys.stderr)
        return 1
    print(f"{folder / 'wine.csv'} {'written' if written else 'is up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
