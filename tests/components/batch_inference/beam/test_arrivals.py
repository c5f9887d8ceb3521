from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.components.batch_inference.beam.arrivals import FileBatch, Grouping, Ledger, Waiting, look
from penstock.components.batch_inference.manifest import NAME
from penstock.errors import ArtifactError, EnvironmentProblem

_WINDOW = 1_795_617_000.0
"""2026-11-25 14:30:00 UTC, where a window of 60 s begins."""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(tmp_path / "out")
    with found.held():
        found.prepare()
    return found


def _waiting(**grouping: float) -> Waiting:
    return Waiting(Grouping(**{"files": 3, "size": 100, "wait": 5.0, "window": 60.0, **grouping}))  # type: ignore[arg-type]


def _seen(waiting: Waiting, now: float, *names: str, size: int = 1) -> None:
    """Let files be there, unchanged, at two looks."""
    for _ in range(2):
        waiting.see(dict.fromkeys((*waiting._settled, *names), (size, 0)), now)


def _complete(waiting: Waiting, now: float, *, stop: bool = False) -> list[tuple[float, tuple[str, ...], float]]:
    return list(waiting.complete(now, all_of_them=stop))


def test_a_batch_is_complete_when_it_has_enough_files():
    waiting = _waiting()
    _seen(waiting, _WINDOW, "a", "b")
    assert _complete(waiting, _WINDOW) == []
    _seen(waiting, _WINDOW + 1, "c", "d")
    assert _complete(waiting, _WINDOW + 1) == [(_WINDOW, ("a", "b", "c"), _WINDOW + 1)]
    assert _complete(waiting, _WINDOW + 6) == [(_WINDOW, ("d",), _WINDOW + 1)]


def test_a_batch_is_complete_when_it_is_large_enough():
    waiting = _waiting()
    _seen(waiting, _WINDOW, "a", "b", "c", size=60)
    assert _complete(waiting, _WINDOW) == [(_WINDOW, ("a", "b"), _WINDOW)]
    assert waiting.first_seen() == _WINDOW


def test_a_batch_is_complete_when_its_first_file_has_waited_long_enough():
    waiting = _waiting()
    _seen(waiting, _WINDOW, "a")
    _seen(waiting, _WINDOW + 3, "b")
    assert _complete(waiting, _WINDOW + 4.9) == []
    assert _complete(waiting, _WINDOW + 5) == [(_WINDOW, ("a", "b"), _WINDOW + 3)]
    assert waiting.first_seen() is None


def test_no_batch_extends_over_two_windows():
    waiting = _waiting(wait=1000)
    _seen(waiting, _WINDOW + 59, "a")
    _seen(waiting, _WINDOW + 61, "b")
    assert _complete(waiting, _WINDOW + 61) == [(_WINDOW, ("a",), _WINDOW + 59)]
    assert _complete(waiting, _WINDOW + 120) == [(_WINDOW + 60, ("b",), _WINDOW + 61)]


def test_at_the_end_nothing_waits_any_longer():
    waiting = _waiting()
    _seen(waiting, _WINDOW, "a")
    assert _complete(waiting, _WINDOW, stop=True) == [(_WINDOW, ("a",), _WINDOW)]


def test_a_file_that_still_grows_is_not_taken():
    waiting = _waiting(files=1)
    for size in (1, 2, 3):
        waiting.see({"a": (size, size)}, _WINDOW)
        assert _complete(waiting, _WINDOW, stop=True) == []
    waiting.see({"a": (3, 3)}, _WINDOW)
    assert _complete(waiting, _WINDOW) == [(_WINDOW, ("a",), _WINDOW)]


def test_the_oldest_file_comes_first_and_hidden_ones_do_not_come(tmp_path: Path):
    for number, name in enumerate(("b.csv", "a.csv", ".c.csv", "_d.csv", "e.txt")):
        (tmp_path / name).write_text("x" * number)
        os.utime(tmp_path / name, ns=(number, number))
    (tmp_path / "f.csv").mkdir()
    assert look(f"{tmp_path}/*.csv") == {str(tmp_path / "b.csv"): (0, 0), str(tmp_path / "a.csv"): (1, 1)}
    assert look(f"{tmp_path}/*.json") == {}


def test_batches_are_numbered_within_their_window_and_are_known_to_whoever_comes_later(ledger: Ledger, tmp_path: Path):
    first = ledger.add(_WINDOW, ("a", "b"), _WINDOW + 3)
    second = ledger.add(_WINDOW, ("c",), _WINDOW + 4)
    third = ledger.add(_WINDOW + 60, ("d",), _WINDOW + 70)
    assert [batch.name for batch in (first, second, third)] == [
        "20261125T143000Z-000",
        "20261125T143000Z-001",
        "20261125T143100Z-000",
    ]
    later = Ledger(tmp_path / "out")
    assert list(later.batches().values()) == [first, second, third]
    assert later.add(_WINDOW, ("e",), _WINDOW).name == "20261125T143000Z-002"


def test_the_parts_of_a_batch_are_the_same_each_time():
    batch = FileBatch("20261125T143000Z-000", ("a", "b"), 3.0)
    assert list(batch.parts()) == [
        FileBatch("20261125T143000Z-000.000", ("a",), 3.0),
        FileBatch("20261125T143000Z-000.001", ("b",), 3.0),
    ]


def test_a_batch_is_published_when_its_manifest_is_there(ledger: Ledger):
    batch = ledger.add(_WINDOW, ("a",), _WINDOW).name
    ledger.place(batch).mkdir()
    assert not ledger.is_published(batch)
    (ledger.place(batch) / NAME).write_text("{}")
    assert ledger.is_published(batch)


def test_a_stop_and_failures_are_those_of_one_stream(ledger: Ledger, tmp_path: Path):
    assert not ledger.stopping
    ledger.stop()
    ledger.write_failure("b", ArtifactError("no rows", where="x.csv"))
    later = Ledger(tmp_path / "out")
    assert later.stopping
    assert {name: str(error) for name, error in later.failures().items()} == {"b": "x.csv: no rows"}
    later.prepare()
    assert (ledger.stopping, ledger.failures()) == (False, {})


def test_two_streams_do_not_write_one_output(ledger: Ledger, tmp_path: Path):
    with ledger.held(), pytest.raises(EnvironmentProblem) as caught, Ledger(tmp_path / "out").held():
        pytest.fail("both hold it")
    assert str(caught.value) == (
        f"{tmp_path}/out: another stream writes the same output now\n"
        "  next: stop it first, or choose another output folder"
    )
    with ledger.held():
        assert not ledger.stopping
