"""Runs whose metadata store is a database of MariaDB or PostgreSQL, as Debian has them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.metadata.servers import PASSWORD, VARIABLE, Database, declared, mariadb, postgresql
from tests.pipelines.runners.killing import Order, Outcome, Runs, runs

_STEPS = "tests.pipelines.runners.killed_steps"
_PIPELINE = f"""
pipeline: served
root: runs
vars: {{round: r1}}
steps:
  rows: {{component: {_STEPS}.rows, with: {{name: "${{vars.round}}"}}}}
  search: {{component: {_STEPS}.search}}
"""


Start = Callable[[], AbstractContextManager[Database]]


@pytest.fixture
def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv(VARIABLE, PASSWORD)
    with runs(tmp_path / "imports.log") as started:
        yield started


@pytest.mark.parametrize("start", [mariadb, postgresql])
def test_a_run_with_its_metadata_on_a_server(tmp_path: Path, forks: Runs, start: Start):
    (tmp_path / "pyproject.toml").touch()
    file = tmp_path / "served.yaml"
    with start() as database:
        file.write_text(f"{_PIPELINE}metadata: {declared(database.server)}\n")

        def run(name: str, patience: float | None = None) -> Outcome:
            return forks.run(Order(str(file), (f"vars.round={name}",), patience=patience))

        assert run("r1").states == {"rows": "ran", "search": "ran"}
        assert run("r1").states == {"rows": "cached", "search": "cached"}

        database.stop()
        coming = threading.Timer(3.0, database.start)
        coming.start()
        away_for_a_moment = run("r2", 240)  # On a busy machine a server takes its time to start.
        coming.join()
        assert away_for_a_moment.states == {"rows": "ran", "search": "ran"}, away_for_a_moment

        database.stop()
        away = run("r3", 3)
        assert away.error is not None
        assert f"{database.server}: the metadata store cannot be reached" in away.error
        database.start()
        assert run("r3").states == {"rows": "ran", "search": "ran"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if PASSWORD.encode() in path.read_bytes()] == []
