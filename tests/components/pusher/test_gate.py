from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.gate import GateReport, ask, pass_gate
from penstock.components.pusher.warmup import warm_up_requests
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.serving.models.warmup import WARMUP_FILE
from tests.components.pusher.conftest import example, write_rows


@pytest.fixture
def model(saved_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


def _warm_up(model: Path, rows: list[bytes]) -> None:
    file = write_rows(model.parent / "rows", rows)
    (model / WARMUP_FILE).parent.mkdir(exist_ok=True)
    (model / WARMUP_FILE).write_bytes(warm_up_requests(model, "digits", [str(file)], len(rows)).content)


def _log() -> Any:
    from tensorflow_serving.apis import prediction_log_pb2

    return prediction_log_pb2.PredictionLog()


class TestInAProcessOfItsOwn:
    def test_a_model_that_answers_passes(self, model: Path):
        _warm_up(model, [example(x=[1.0, 2.0])] * 3)
        report = pass_gate(model, 300)
        assert report == GateReport(6)
        assert str(report) == "the model answered 6 warm-up requests in a clean process"

    def test_a_model_that_cannot_answer_does_not(self, model: Path):
        # The row's x is an integer, and `serving_default` parses a float.
        _warm_up(model, [example(x=[1])])
        with pytest.raises(ArtifactError, match=r"the model did not pass the predict gate: .*x") as caught:
            pass_gate(model, 300)
        assert caught.value.where == str(model)


def _instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """Let another program stand for the interpreter."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_model_that_ends_the_process_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _instead(monkeypatch, tmp_path, "echo talking; echo 'Check failed: rank' >&2; kill -ABRT $$")
    with pytest.raises(ArtifactError) as caught:
        pass_gate(tmp_path / "model", 300)
    assert str(caught.value) == (
        f"{tmp_path}/model: the model did not pass the predict gate: its process was ended by SIGABRT\n"
        "  expected: a SavedModel that loads in a clean process and answers its warm-up requests\n"
        "  next: its last words: Check failed: rank"
    )


def test_a_process_that_reports_nothing_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _instead(monkeypatch, tmp_path, "exit 3")
    with pytest.raises(ArtifactError, match="its process ended with exit code 3") as caught:
        pass_gate(tmp_path, 300)
    assert caught.value.hint == "its last words: none"


def test_a_model_that_never_answers_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _instead(monkeypatch, tmp_path, "exec sleep 600")
    with pytest.raises(ArtifactError, match=r"it neither answered nor failed in 0\.1 s") as caught:
        pass_gate(tmp_path, 0.1)
    assert caught.value.hint == "raise `gate_timeout` if it needs longer"


def test_a_process_that_cannot_be_started_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(EnvironmentProblem, match=r"the predict gate cannot be started: .*No such file or directory"):
        pass_gate(tmp_path, 300)


def test_what_a_model_prints_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    report = 'penstock gate report: {"requests": 0}'
    _instead(monkeypatch, tmp_path, f"echo first; echo '{report}'; echo last")
    assert str(pass_gate(tmp_path, 300)) == "the model loads in a clean process; it carries no warm-up requests"


def test_the_clean_process_ends_with_the_one_that_waits_for_it(tmp_path: Path):
    import subprocess

    code = (
        "import os, signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c',"
        "'import os; from penstock.components.pusher.clean_process import _end_with_parent;"
        "_end_with_parent(os.getppid()); print(os.getpid(), flush=True); import time; time.sleep(600)'])\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == ""  # The end of the pipe: whoever held its other end is gone.
    parent.stdout.close()


class TestInThisProcess:
    def test_a_model_without_requests_is_only_loaded(self, model: Path):
        assert ask(model) == GateReport(0)

    def test_a_request_to_a_signature_that_is_not_there_is_refused(self, model: Path):
        log = _log()
        log.predict_log.request.model_spec.signature_name = "predicts"
        write_rows(model / WARMUP_FILE, [log.SerializeToString()])
        with pytest.raises(ArtifactError, match=r"did not pass the predict gate: .*predicts") as caught:
            ask(model)
        assert caught.value.hint == "ask it by hand: python -m penstock.components.pusher.gate FOLDER"

    @pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:]])
    def test_damaged_requests_are_refused(self, model: Path, damage: Any):
        _warm_up(model, [example(x=[1.0, 2.0])])
        (model / WARMUP_FILE).write_bytes(damage((model / WARMUP_FILE).read_bytes()))
        with pytest.raises(ArtifactError, match=r"did not pass the predict gate: .*verify your warmup data"):
            ask(model)

    def test_a_model_without_weights_is_refused(self, model: Path):
        shutil.rmtree(model / "variables")
        with pytest.raises(ArtifactError, match=r"did not pass the predict gate: .* cannot be loaded: "):
            ask(model)
