"""Rules about the data that ExampleGen steps read. Data behind a URL is not looked at."""

from __future__ import annotations

import csv
import glob
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from penstock.closest import did_you_mean
from penstock.pipelines.checks.csv_faults import header_fault, row_fault
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.config.words import one_of
from penstock.pipelines.graph import Graph, Step

_GENERATORS = ("CsvExampleGen", "ImportExampleGen")
_LONGEST_HEADER = 1_000_000
"""Characters; what is longer is no header."""


def input_folder_holds_files(graph: Graph, document: Document) -> Iterator[Problem]:
    """``input_base`` is a folder, and every split's pattern matches a file in it."""
    for step in itertools.chain.from_iterable(graph.of_type(name) for name in _GENERATORS):
        folder = local_folder(step)
        path = ("steps", step.name, "with", "input_base")
        if folder is None:
            continue
        fault = _folder_fault(folder)
        if fault is not None:
            yield document.problem(
                path,
                f"the data folder of step '{step.name}' {fault}",
                received=str(folder),
                hint=f"put the data there, or name another folder; paths are relative to {document.project}",
            )
            continue
        for split, pattern in patterns(step):
            if not _matching(folder, pattern):
                yield document.problem(
                    path,
                    f"no file for split '{split}' of step '{step.name}'" if split else f"'{folder}' holds no files",
                    received=f"pattern {pattern} in {folder}" if split else None,
                    expected="at least one file",
                    hint=f"the folder holds {_listing(folder)}",
                )


def csv_has_header_and_rows(graph: Graph, document: Document) -> Iterator[Problem]:
    """Every CSV file starts with the same header of distinct names and has at least one row."""
    for step in graph.of_type("CsvExampleGen"):
        path = ("steps", step.name, "with", "input_base")
        first: tuple[Path, list[str]] | None = None
        for file in csv_files(step):
            try:
                header, row = _first_two(file)
            except OSError as error:
                reason = error.strerror or str(error)
                yield document.problem(path, f"{file} cannot be read: {reason}", hint="check its owner and permissions")
                continue
            except (UnicodeDecodeError, csv.Error) as error:
                yield document.problem(
                    path,
                    f"{file} cannot be read as CSV: {error}",
                    expected="UTF-8 text with comma-separated columns",
                    hint="save it so, or keep other files out of the folder or the split's pattern",
                )
                continue
            fault = header_fault(header) or row_fault(header, row)
            if fault:
                yield document.problem(path, f"{file} has {fault.what}", expected=fault.expected, hint=fault.hint)
            elif first is not None and header != first[1]:
                yield document.problem(
                    path,
                    f"{file} and {first[0]} have different headers",
                    received=", ".join(header),
                    expected=", ".join(first[1]),
                    hint="keep files of other columns out of the folder or the split's pattern",
                )
            first = first or (file, header)


def local_folder(step: Step) -> Path | None:
    """Return the step's ``input_base`` when it is a path on this machine."""
    base = step.parameters.get("input_base")
    return Path(base) if isinstance(base, str) and base and "://" not in base else None


def patterns(step: Step) -> list[tuple[str, str]]:
    """Return split name → glob pattern; one unnamed split without an ``input_config``."""
    config = step.parameters.get("input_config")
    splits = config.get("splits") if isinstance(config, dict) else None
    if not isinstance(splits, list):
        return [("", "*")]
    found = [(split.get("name"), split.get("pattern")) for split in splits if isinstance(split, dict)]
    plain = [(name, pattern) for name, pattern in found if isinstance(name, str) and isinstance(pattern, str)]
    # Span and version patterns are TFX's to resolve.
    return [(name, pattern) for name, pattern in plain if pattern and "{" not in pattern and pattern[0] != "/"]


def csv_files(step: Step) -> list[Path]:
    """Return the files that a CsvExampleGen step reads, sorted."""
    folder = local_folder(step)
    if folder is None:
        return []
    return sorted({file for _, pattern in patterns(step) for file in _matching(folder, pattern)})


def _folder_fault(folder: Path) -> str | None:
    """Return why the files of a folder cannot be listed, None when they can."""
    try:
        with os.scandir(folder):
            return None
    except FileNotFoundError:
        return "is not there"
    except NotADirectoryError:
        return "is a file, not a folder"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except ValueError:
        return "cannot be read: its name holds a null character"


def _matching(folder: Path, pattern: str) -> list[Path]:
    if "\0" in f"{folder}{pattern}":
        return []
    found = glob.iglob(os.path.join(glob.escape(str(folder)), pattern), include_hidden=True)  # noqa: PTH118, PTH207
    return [Path(file) for file in found if os.path.isfile(file)]  # noqa: PTH113  pathlib refuses some patterns.


def column_is_there(
    graph: Graph, document: Document, step: Step, path: tuple[str | int, ...], column: str
) -> Iterator[Problem]:
    """Yield a problem at ``path`` when the CSV files behind the step's ``examples`` have no such column."""
    columns = [name for header, _ in _csv_heads(graph, step) for name in header]
    if columns and column not in columns:
        yield document.problem(
            path,
            f"no column '{column}' in the data",
            expected=one_of(columns),
            hint=did_you_mean(column, columns),
        )


def first_values(graph: Graph, step: Step, column: str) -> Iterator[str]:
    """Yield what a column holds in the first row of the CSV files behind the step's ``examples``."""
    for header, row in _csv_heads(graph, step):
        if column in header:
            yield row[header.index(column)]


def _csv_heads(graph: Graph, step: Step) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the header and the first row of the first file behind each of the step's ``examples``.

    Nothing where csv_has_header_and_rows reports what is wrong with them.
    """
    for source in (graph.steps[wire.step] for wire in step.inputs.get("examples", ())):
        for file in csv_files(source)[:1] if source.type.name == "CsvExampleGen" else ():
            try:
                header, row = _first_two(file)
            except (OSError, UnicodeDecodeError, csv.Error):
                continue
            if row is not None and not header_fault(header) and not row_fault(header, row):
                yield header, row


def _first_two(file: Path) -> tuple[list[str], list[str] | None]:
    """Return the column names, which TFX takes from the first line as it stands, and the first row, if there is one."""
    with file.open(encoding="utf-8", newline="") as stream:
        header = stream.readline(_LONGEST_HEADER).strip().split(",")
        return header, next((row for row in csv.reader(stream) if row), None)


def _listing(folder: Path) -> str:
    names = sorted(child.name for child in folder.iterdir())
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"
