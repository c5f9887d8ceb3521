"""What a step reports reaches a real terminal while the step runs, and a pipe when it matters."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.conftest import Project
from tests.e2e.conftest import penstock

CODE = """
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model

from penstock.reporting import log_file, note, status


@component
def train(model: OutputArtifact[Model]) -> None:
    for step in range(1, 11):
        status(f"step {step}/10  loss {1 / step:.4f}")
        time.sleep(0.2)
        while Path("watched").exists() and not Path(f"seen-{step}").exists():
            time.sleep(0.02)
    note(f"input-bound, see {log_file().name}")
"""
STATUS = re.compile(r". trainer 0:\d\d:\d\d step (\d+)/10  loss .*")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def project_with_reports(project: Project) -> Project:
    project.write("parts.py", CODE)
    project.pipeline("  trainer: {component: parts.train}\n")
    return project


def test_a_terminal_shows_the_status_of_a_running_step(project_with_reports):
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", _on_terminal(project_with_reports))]
    shown = [match[1] for line in lines if (match := STATUS.fullmatch(line))]
    assert sorted(set(shown), key=int) == [str(step) for step in range(1, 11)], lines
    assert "  trainer │ input-bound, see trainer.log" in lines
    assert any(line.startswith("[1/1] ✓ trainer") for line in lines)


def test_a_pipe_gets_the_notes_alone(project_with_reports):
    ended = penstock("run", "p.yaml", cwd=project_with_reports.folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "  trainer │ input-bound, see trainer.log\n[1/1] ✓ trainer" in ended.stdout
    assert "loss" not in ended.stdout


def _on_terminal(project: Project) -> str:
    """Run the pipeline on a pseudo-terminal and return all that was written to it, without colors.

    The step goes on when its status has been seen.
    """
    project.write("watched", "")
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "penstock", "run", "p.yaml"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=project.folder, env=environment, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        written = b""
        while read := _read(main):
            written += read
            for step in re.findall(rb"step (\d+)/10 ", written):
                project.write(f"seen-{step.decode()}", "")
    os.close(main)
    text = ESCAPES.sub("", written.decode())
    assert process.returncode == 0, text
    return text


def _read(main: int) -> bytes:
    try:
        return os.read(main, 1 << 16)
    except OSError:  # How Linux tells that the last writer is gone.
        return b""
