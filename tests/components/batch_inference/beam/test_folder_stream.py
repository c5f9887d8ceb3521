"""Streams over a folder, for real: Beam's in-memory runner, files that arrive meanwhile, and a stop from outside."""

from __future__ import annotations

import json
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.components.batch_inference.beam.arrivals import Grouping, Ledger
from penstock.components.batch_inference.beam.folder_stream import Arrivals, FolderStream, run
from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.manifest import NAME
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.request import InferenceRequest, PinnedModel
from penstock.errors import EnvironmentProblem
from tests.components.batch_inference.scaler import save_scaler

_RUNNER = ("--runner=FnApiRunner",)


@pytest.fixture
def stream(scaler: PinnedModel, tmp_path: Path) -> FolderStream:
    (tmp_path / "in").mkdir()
    config = BatchInferenceConfig.model_validate({"output": {"outputs": ["sum"]}, "max_error_rate": 0.5})
    request = InferenceRequest(config, (f"{tmp_path}/in/*.jsonl",), tmp_path / "out", scaler)
    return FolderStream(request, Grouping(files=2, wait=0.2, window=3600), poll=0.01)


def _arrive(stream: FolderStream, name: str, *rows: Any) -> Path:
    """Let a file appear at once."""
    folder = Path(stream.request.files[0]).parent
    partial = folder / f".{name}"
    partial.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return partial.rename(folder / f"{name}.jsonl")


def _results(stream: FolderStream) -> dict[str, dict[str, float]]:
    """Return the results by batch: key → sum."""
    return {
        manifest.parent.name: {
            row["key"]: row["sum"]
            for file in sorted(manifest.parent.glob("prediction.results-*"))
            for row in map(json.loads, file.read_text().splitlines())
        }
        for manifest in sorted(stream.output.glob(f"*/{NAME}"))
    }


WaitFor = Callable[[Callable[[], object]], None]


@contextmanager
def _meanwhile(act: Callable[[WaitFor], None]) -> Iterator[None]:
    """Run something in a thread beside the block; what it raises, the block's end raises."""
    over = threading.Event()
    problems: list[BaseException] = []

    def wait_for(condition: Callable[[], object]) -> None:
        while not condition():
            if over.wait(0.01):
                raise AssertionError("the stream has ended before")

    def work() -> None:
        try:
            act(wait_for)
        except BaseException as error:  # noqa: BLE001  It is raised again.
            problems.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if problems:
        raise problems[0]


def _rows(stream: FolderStream) -> dict[str, float]:
    return {key: value for batch in _results(stream).values() for key, value in batch.items()}


def test_files_are_scored_as_they_arrive_until_a_signal_comes(stream: FolderStream):
    def arrive(wait_for: WaitFor) -> None:
        for number in range(4):
            name = f"f{number}"
            _arrive(stream, name, {"x": [number, 1]}, {"x": [number, 2]})
            wait_for(lambda name=name: f"{name}.jsonl:1" in _rows(stream))  # type: ignore[misc]
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with _meanwhile(arrive):
        result = run(stream, _RUNNER)
    assert (result.rows, result.errors, result.failures) == (8, 0, {})
    assert _rows(stream) == {f"f{n}.jsonl:{row}": 2 * (n + row + 1) for n in range(4) for row in range(2)}
    assert len(_results(stream)) == 4
    assert signal.getsignal(signal.SIGTERM) is before


def test_files_that_arrive_together_are_scored_together(stream: FolderStream):
    for number in range(3):
        _arrive(stream, f"f{number}", {"x": [number, 0]})

    def stop(wait_for: WaitFor) -> None:
        wait_for(lambda: len(_results(stream)) == 2)
        Ledger(stream.output).stop()

    with _meanwhile(stop):
        run(stream, _RUNNER)
    first, second = _results(stream).values()
    assert (first, second) == ({"f0.jsonl:0": 0, "f1.jsonl:0": 2}, {"f2.jsonl:0": 4})


def test_bad_rows_go_beside_the_results(stream: FolderStream):
    _arrive(stream, "f", {"x": [1, 2]}, {"x": [-1, 2]})

    def stop(wait_for: WaitFor) -> None:
        wait_for(lambda: len(_results(stream)) == 1)
        Ledger(stream.output).stop()

    with _meanwhile(stop):
        result = run(stream, _RUNNER)
    assert (result.rows, result.errors) == (2, 1)
    (errors,) = stream.output.glob("*/prediction.errors-*")
    (error,) = map(json.loads, errors.read_text().splitlines())
    assert error["row"] == 1
    assert error["original"] == {"x": [-1, 2]}


def test_a_file_at_fault_costs_no_other_its_results(stream: FolderStream):
    _arrive(stream, "a", {"x": [1, 2]})
    _arrive(stream, "b", *[{"x": [-1, 2]}] * 2)

    def stop(wait_for: WaitFor) -> None:
        wait_for(lambda: Ledger(stream.output).failures() and len(_results(stream)) == 1)
        Ledger(stream.output).stop()

    with _meanwhile(stop):
        result = run(stream, _RUNNER)
    assert _rows(stream) == {"a.jsonl:0": 6}
    ((batch, error),) = result.failures.items()
    assert batch.endswith("-000.001")
    assert "2 of 2 rows got no prediction, more than max_error_rate 0.5 allows" in str(error)


def test_what_was_not_published_is_scored_again_and_what_was_is_not(stream: FolderStream):
    files = [_arrive(stream, name, {"x": [1, 2]}) for name in ("a", "b")]
    ledger = Ledger(stream.output)
    with ledger.held():
        ledger.prepare()
    first, second = (ledger.add(0, (str(file),), 1.0) for file in files)
    ledger.place(first.name).mkdir()
    (ledger.place(first.name) / NAME).write_text("{}")  # As an earlier stream has published it.

    def stop(wait_for: WaitFor) -> None:
        wait_for(lambda: ledger.is_published(second.name))
        ledger.stop()

    with _meanwhile(stop):
        result = run(stream, _RUNNER)
    assert result.rows == 1
    assert (ledger.place(first.name) / NAME).read_text() == "{}"
    assert _results(stream)[second.name] == {"b.jsonl:0": 6}
    assert list(ledger.batches()) == [first.name, second.name]


def test_each_batch_asks_for_its_model(stream: FolderStream, tmp_path: Path):
    models = [pin(save_scaler(tmp_path / "10", 10)), pin(save_scaler(tmp_path / "100", 100))]
    left = list(models)
    asking = replace(stream, model=lambda: left.pop(0))

    def arrive(wait_for: WaitFor) -> None:
        for number in range(2):
            _arrive(stream, f"f{number}", {"x": [1, 0]})
            wait_for(lambda number=number: len(_results(stream)) == number + 1)  # type: ignore[misc]
        Ledger(stream.output).stop()

    with _meanwhile(arrive):
        run(asking, _RUNNER)
    assert list(_rows(stream).values()) == [10, 100]
    manifests = [json.loads(path.read_text()) for path in sorted(stream.output.glob(f"*/{NAME}"))]
    assert [manifest["model"]["digest"] for manifest in manifests] == [model.digest for model in models]


def test_a_server_that_is_away_ends_the_stream(stream: FolderStream):
    config = stream.request.config.model_copy(
        update={"mode": BatchInferenceConfig.model_validate({"mode": {"remote": _AWAY}}).mode}
    )
    _arrive(stream, "a", {"x": [1, 2]})
    away = replace(stream, request=replace(stream.request, config=config, model=None))
    with pytest.raises(EnvironmentProblem) as caught:
        run(away, _RUNNER)
    assert str(caught.value).splitlines()[0] == "no server can be reached at 127.0.0.1:9"
    assert caught.value.hint == "start one with: penstock serve"


def test_what_a_runner_itself_fails_with_is_told(stream: FolderStream, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise RuntimeError("a pipe broke\n\nand that was it\n")

    monkeypatch.setattr("apache_beam.Pipeline.run", fail)
    with pytest.raises(EnvironmentProblem) as caught:
        run(stream, _RUNNER)
    assert str(caught.value) == (
        "the Beam runner failed: RuntimeError: and that was it\n"
        "  next: start the stream again: what is published stays, and the rest is scored"
    )


_AWAY = {"grpc": "127.0.0.1:9", "model": "scaler", "retries": 0}


def test_an_arrival_is_named_until_it_has_results(stream: FolderStream):
    ledger = Ledger(stream.output)
    with ledger.held():
        ledger.prepare()
    arrivals = pickle.loads(pickle.dumps(Arrivals(replace(stream, grouping=Grouping(files=1), poll=0))))
    out = str(stream.output)
    assert arrivals(out).outputs == ()
    _arrive(stream, "a", {"x": [1, 2]})
    assert arrivals(out).outputs == ()  # It may still be written.
    (named,) = arrivals(out).outputs
    assert arrivals(out).outputs == (named,)
    assert named.timestamp == ledger.batches()[named.value].seen
    ledger.place(named.value).mkdir()
    (ledger.place(named.value) / NAME).write_text("{}")
    assert arrivals(out).outputs == ()
    assert not arrivals(out).is_complete
    ledger.stop()
    assert arrivals(out).is_complete


def test_what_has_arrived_before_a_stop_is_still_named(stream: FolderStream):
    ledger = Ledger(stream.output)
    with ledger.held():
        ledger.prepare()
    arrivals = Arrivals(replace(stream, grouping=Grouping(files=9, wait=3600), poll=0))
    _arrive(stream, "a", {"x": [1, 2]})
    for _ in range(2):
        assert arrivals("").outputs == ()
    ledger.stop()
    last = arrivals("")
    assert (len(last.outputs), last.is_complete) == (1, True)
