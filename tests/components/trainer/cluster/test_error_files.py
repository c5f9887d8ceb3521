from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.components.trainer.cluster.error_files import TaskError, read_error, record_error
from penstock.errors import ArtifactError, EnvironmentProblem, Frame, PenstockError, UserCodeError


@pytest.mark.parametrize(
    "error",
    [
        ArtifactError("damaged", where="a.gz", received="x", expected="y", hint="z"),
        UserCodeError("model_fn failed", frames=(Frame("model.py", 3, "build", "1 / 0"),)),
    ],
)
def test_what_is_recorded_is_read(tmp_path: Path, error: PenstockError) -> None:
    file = tmp_path / "errors" / "worker-0.json"
    record_error(TaskError(error), {"PENSTOCK_ERROR_FILE": str(file)})
    told = read_error(file)
    assert told is not None
    assert type(told.error) is type(error)
    assert told.error.to_dict() == error.to_dict()
    assert not told.peer_lost
    assert list(file.parent.iterdir()) == [file]


def test_a_lost_peer(tmp_path: Path) -> None:
    file = tmp_path / "worker-0.json"
    record_error(TaskError(EnvironmentProblem("connection lost"), peer_lost=True), {"PENSTOCK_ERROR_FILE": str(file)})
    told = read_error(file)
    assert told is not None
    assert (type(told.error), told.error.what, told.peer_lost) == (EnvironmentProblem, "connection lost", True)


def test_a_process_that_nobody_started() -> None:
    record_error(TaskError(ArtifactError("damaged")), {})


def test_no_error(tmp_path: Path) -> None:
    assert read_error(tmp_path / "worker-0.json") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"error": {"cause": "x"}, "peer_lost": False})])
def test_a_damaged_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "worker-0.json"
    file.write_text(text)
    with pytest.raises(EnvironmentProblem, match="a task failed, and the file that says why is damaged: ") as raised:
        read_error(file)
    assert (raised.value.where, raised.value.hint) == (str(file), "see the task's log")
