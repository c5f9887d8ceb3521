"""The program of a job's pods, and the heartbeat that it listens to."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock.components.trainer import task
from penstock.components.trainer.cluster.error_files import TaskError, record_error
from penstock.components.trainer.kubernetes import heartbeat, pod
from penstock.components.trainer.kubernetes.pod import START_AGAIN, MarkedLines
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem, PenstockError, UserCodeError
from penstock.reporting import Sink

CLUSTER = {"chief": ["chief:2222"], "worker": ["worker:2222"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's folder, and a task that nobody watches for a heartbeat."""
    (tmp_path / "errors").mkdir()
    (tmp_path / task.REQUEST).write_text("{}", encoding="utf-8")
    monkeypatch.setattr(heartbeat, "watch", lambda *_: None)
    return tmp_path


def environ(kind: str = "worker") -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": CLUSTER, "task": {"type": kind, "index": 0}})}


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (TaskError(UserCodeError("model_fn raised")), 1),
        (TaskError(ConfigError("no such option")), 1),
        (TaskError(ArtifactError("no rows")), 1),
        (TaskError(EnvironmentProblem("no space")), START_AGAIN),
        (TaskError(UserCodeError("the user's callback lost its peer"), peer_lost=True), START_AGAIN),
        (None, 1),
    ],
)
def test_the_exit_code_says_whether_to_start_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, told: TaskError | None, code: int
) -> None:
    given = environ()

    def run(_: Path, __: Sink) -> int:
        if told is not None:
            record_error(told, given)
        return 1

    monkeypatch.setattr(task, "main", run)
    assert pod.main(folder, given) == code
    assert (folder / "errors" / "worker-0.json").exists() == (told is not None)


def test_the_error_of_an_earlier_start_is_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "errors" / "chief-0.json").write_text("old", encoding="utf-8")
    monkeypatch.setattr(task, "main", lambda *_: 0)
    assert pod.main(folder, environ("chief")) == 0
    assert not list((folder / "errors").iterdir())


def test_a_job_of_one_pod_has_no_description(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(task, "main", lambda *_: 0)
    assert pod.main(folder, given) == 0
    assert json.loads(given["TF_CONFIG"])["task"] == {"type": "chief", "index": 0}


def test_a_pod_without_the_folder_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pod.main(tmp_path / "none", environ()) == 1
    told = capsys.readouterr().err
    assert "this pod does not see the folder of its job" in told
    assert "mount the same claim in the step and in the pods" in told


def test_reports_are_marked_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr(pod, "time", SimpleNamespace(monotonic=lambda: now[0]))
    sink = MarkedLines()
    with caplog.at_level(logging.INFO):
        for number in range(100):
            sink.status(f"step {number}")
            now[0] += 0.03
        sink.note("epoch 1\nepoch 2")
    assert capsys.readouterr().out.splitlines() == [
        "@penstock status step 0",
        "@penstock status step 67",
        "@penstock note epoch 1",
        "@penstock note epoch 2",
    ]
    assert caplog.messages == ["epoch 1\nepoch 2"]


def test_a_pod_that_is_alone_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    told: list[PenstockError] = []
    monkeypatch.setattr("os._exit", ended.append)
    monkeypatch.setattr(pod, "record_error", lambda error: told.append(error.error))
    pod._end_alone()
    assert ended == [1]
    assert told[0].what == "the step that started this job is gone"
    assert "goes on from its last checkpoint" in capsys.readouterr().err


class TestHeartbeat:
    def test_somebody_who_counts_is_heard(self, tmp_path: Path) -> None:
        with heartbeat.beating(tmp_path, 0.01):
            assert heartbeat.is_beating(tmp_path, 60.0)

    def test_nobody(self, tmp_path: Path) -> None:
        assert not heartbeat.is_beating(tmp_path, 0.01)

    def test_a_count_that_stands_still_is_nobody(self, tmp_path: Path) -> None:
        with heartbeat.beating(tmp_path, 0.01):
            pass
        assert heartbeat.read(tmp_path) is not None
        assert not heartbeat.is_beating(tmp_path, 0.02)

    def test_who_listens_ends_when_the_count_stands_still(self, tmp_path: Path) -> None:
        alone = threading.Event()
        with heartbeat.beating(tmp_path, 0.01):
            heartbeat.watch(tmp_path, alone.set, patience=30.0, look_every=0.02)
            assert not alone.wait(0.3)
        heartbeat.watch(tmp_path, alone.set, patience=0.1, look_every=0.02)
        assert alone.wait(120)

    def test_a_folder_that_is_gone_is_nobody(self, tmp_path: Path) -> None:
        alone = threading.Event()
        heartbeat.watch(tmp_path / "gone", alone.set, patience=0.05, look_every=0.01)
        assert alone.wait(120)

    def test_a_file_system_that_is_away_for_a_moment_is_borne(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[int] = []
        plain = heartbeat._write

        def write(folder: Path, count: int) -> None:
            written.append(count)
            if count == 1:
                raise OSError(5, "Input/output error")
            plain(folder, count)

        monkeypatch.setattr(heartbeat, "_write", write)
        done = threading.Event()
        with heartbeat.beating(tmp_path, 0.01):
            while len(written) < 4:
                done.wait(0.01)
        assert int(heartbeat.read(tmp_path) or 0) >= 2
