"""``penstock infer --stream`` as a user runs it: files arrive in a folder until somebody ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.batch_inference.conftest import read_lines
from tests.components.batch_inference.scaler import save_scaler
from tests.conftest import REPOSITORY

_PATIENCE = 240.0
"""Seconds until a stream that does not get on fails the test; other work may hold the machine."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_scaler(tmp_path / "models" / "scaler" / "1", 2.0)
    (tmp_path / "inbox").mkdir()
    return tmp_path


def _arrive(folder: Path, name: str, *rows: Any) -> None:
    """Let a file appear at once, as whoever delivers files should."""
    partial = folder / "inbox" / f".{name}"
    partial.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    partial.rename(folder / "inbox" / name)


def _batches(folder: Path) -> dict[str, Path]:
    """Return the published batches by the name of the first input file in each."""
    found: dict[str, Path] = {}
    for manifest in (folder / "scored").glob("*/prediction.manifest.json"):
        found[json.loads(manifest.read_text())["inputs"][0]["name"]] = manifest.parent
    return found


def _sums(folder: Path) -> Mapping[str, float]:
    rows = [
        row for batch in _batches(folder).values() for row in read_lines(sorted(batch.glob("prediction.results-*")))
    ]
    sums = {row["key"]: row["sum"] for row in rows}
    assert len(sums) == len(rows), "a row was published twice"
    return sums


@contextmanager
def _streaming(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the command; whatever comes of the test, it is gone afterwards."""
    command = [
        sys.executable, "-m", "penstock", "infer", "--stream", "--model", "models/scaler", "--input", "inbox/*.jsonl",
        "--output", "scored", "--outputs", "sum", "--max-error-rate", "0.5",
        "--batch-files", "1", "--batch-wait", "0", "--poll", "0.1", "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as stream:
        try:
            yield stream
        finally:
            stream.kill()


def _wait_for(stream: subprocess.Popen[str], condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not condition():
        assert stream.poll() is None, f"the stream has ended: {stream.communicate()}"
        assert time.monotonic() < give_up, "the stream does not get on"
        time.sleep(0.05)


def test_files_that_arrive_are_scored_until_a_signal_comes(folder: Path):
    with _streaming(folder) as stream:
        for number in range(2):
            _arrive(folder, f"f{number}.jsonl", {"x": [number, 1]}, {"x": [number, 2]}, {"x": [-1, 0]})
            _wait_for(stream, lambda: f"f{number}.jsonl" in _batches(folder))  # noqa: B023  Called at once.
        # A new version is taken for what comes after it.
        save_scaler(folder / "new", 3.0).rename(folder / "models" / "scaler" / "2")
        _arrive(folder, "f2.jsonl", {"x": [2, 1]})
        _wait_for(stream, lambda: "f2.jsonl" in _batches(folder))
        stream.send_signal(signal.SIGTERM)
        out, err = stream.communicate(timeout=_PATIENCE)
    assert stream.returncode == 0, err
    assert json.loads(out) == {"rows": 7, "errors": 2, "failures": {}}
    assert "Traceback" not in err
    assert "Model: version 2 in models/scaler, the newest" in err
    wanted = {f"f{n}.jsonl:{row}": 2.0 * (n + row + 1) for n in range(2) for row in range(2)}
    assert _sums(folder) == {**wanted, "f2.jsonl:0": 9.0}
    for number in range(2):
        batch = _batches(folder)[f"f{number}.jsonl"]
        assert [row["row"] for row in read_lines(list(batch.glob("prediction.errors-*")))] == [2]


def test_a_stream_that_was_killed_goes_on_and_publishes_nothing_twice(folder: Path):
    with _streaming(folder) as stream:
        _arrive(folder, "a.jsonl", {"x": [1, 1]})
        _wait_for(stream, lambda: "a.jsonl" in _batches(folder))
        stream.kill()
    published = (_batches(folder)["a.jsonl"] / "prediction.manifest.json").stat().st_mtime_ns
    _arrive(folder, "b.jsonl", {"x": [2, 1]})
    with _streaming(folder) as stream:
        _wait_for(stream, lambda: "b.jsonl" in _batches(folder))
        stream.send_signal(signal.SIGINT)
        out, err = stream.communicate(timeout=_PATIENCE)
    assert stream.returncode == 0, err
    assert json.loads(out)["rows"] == 1
    assert _sums(folder) == {"a.jsonl:0": 4.0, "b.jsonl:0": 6.0}
    assert (_batches(folder)["a.jsonl"] / "prediction.manifest.json").stat().st_mtime_ns == published
