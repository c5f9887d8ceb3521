"""A project that ``penstock init`` makes, and its versions' way: train, push, serve, ask, promote, roll back."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import penstock, run, states

PIPELINE = """
extends: pipeline.yaml
steps:
  pusher:
    with:
      model_name: flowers
      labels: %s
      warmup: {rows: 5}
"""
ROWS = [
    {"sepal_length": [5.2], "sepal_width": [3.5], "petal_length": [1.5], "petal_width": [0.2]},
    {"sepal_length": [7.0], "sepal_width": [3.2], "petal_length": [4.7], "petal_width": [1.4]},
]
FLOAT32 = 1e-6
"""Probabilities are float32, printed in decimals by one protocol and carried as they are by the other."""


@dataclass(frozen=True)
class Project:
    """A project that ``penstock init`` made, and how to ask the server that runs on it."""

    folder: Path

    def train(self, units: int) -> dict[str, Any]:
        """Train, push and return the report."""
        return run("served.yaml", "--set", f"steps.trainer.with.hparams.units={units}", cwd=self.folder)

    def pushing(self, labels: str) -> Project:
        """Let nothing be pushed yet, and each push from now on set these labels; what was trained stays."""
        shutil.rmtree(self.folder / "runs/flowers/serving", ignore_errors=True)
        (self.folder / "served.yaml").write_text(PIPELINE % labels, encoding="utf-8")
        (self.folder / "rows.json").write_text(json.dumps(ROWS), encoding="utf-8")
        return self

    def models(self, *arguments: str) -> Any:
        ended = penstock("models", *arguments, "--json", cwd=self.folder)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout)

    def ask(self, *options: str, label: str | None = "stable") -> Any:
        """Return the answer to two rows."""
        named = [] if label is None else ["--label", label]
        arguments = ["request", "flowers", "rows.json", "--signature", "predict", *named, *options]
        ended = penstock(*arguments, cwd=self.folder)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One for all: whichever test comes first trains."""
    parent = tmp_path_factory.mktemp("made")
    assert penstock("init", "flowers", cwd=parent).returncode == 0
    return Project(parent / "flowers")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    """Run ``penstock serve`` and yield its addresses, gRPC and REST; it must end well when it is asked to."""
    command = [sys.executable, "-m", "penstock", "serve", "--port", "0", "--rest-port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if found := re.match(r"gRPC (\S+), REST (http://[^/]+)/v1/models/flowers", line):
                    break
            else:
                pytest.fail("".join(said))
            # Read on, or the pipe would be full one day.
            reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
            reader.start()
            yield found[1], found[2]
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(240)
    reader.join()
    assert code == 0, "".join(said)


def test_a_new_project_runs_as_it_stands(project):
    report = run("flowers/pipeline.yaml", cwd=project.folder.parent)
    assert set(states(report).values()) == {"ran"}
    assert report["summary"]["pushes"][0]["path"] == str(project.folder / "runs/flowers/serving/flowers/1")
    command = [sys.executable, "-m", "pytest", "-q", str(project.folder)]
    tests = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    assert "1 passed" in tests.stdout, tests.stdout + tests.stderr


def test_two_versions_from_training_to_rollback(project):
    project.pushing("{stable: keep, canary: this}")
    first = project.train(16)
    assert states(first)["pusher"] == "ran"
    assert first["summary"]["pushes"][0]["version"] == "1"

    with serving(project.folder) as (grpc, rest):
        over_rest, over_grpc = project.ask("--rest", rest), project.ask("--grpc", grpc)
        assert [flatten(row) for row in over_grpc] == [pytest.approx(flatten(row), abs=FLOAT32) for row in over_rest]
        assert [sum(flatten(row)) for row in over_rest] == [pytest.approx(1), pytest.approx(1)]

        second = project.train(24)
        assert states(second)["pusher"] == "ran"
        assert second["summary"]["pushes"][0]["version"] == "2"
        assert project.ask() == over_rest
        newer = project.ask(label="canary")
        assert newer != over_rest

        promoted = project.models("promote", "flowers", "2")
        assert (promoted["before"], promoted["after"], promoted["served"]) == (1, 2, True)
        assert project.ask() == newer
        assert project.ask("--grpc", grpc) != over_grpc

        rolled_back = project.models("rollback", "flowers")
        assert (rolled_back["before"], rolled_back["after"], rolled_back["served"]) == (2, 1, True)
        assert project.ask() == over_rest
        assert project.ask("--grpc", grpc) == over_grpc

    (listed,) = project.models("list")
    assert listed["labels"] == {"canary": 2, "stable": 1}
    shown = penstock("models", "show", "flowers/1", cwd=project.folder).stdout
    assert "rollback stable: 2 → 1" in shown
    assert [found["problem"] for found in project.models("verify")] == [None, None]


def test_a_client_that_names_nothing_follows_the_one_label(project):
    project.pushing("{stable: this}")
    project.train(16)
    with serving(project.folder) as (grpc, rest):
        over_rest, over_grpc = project.ask("--rest", rest, label=None), project.ask("--grpc", grpc, label=None)
        project.train(24)
        newer = project.ask(label=None)
        assert newer != over_rest
        assert newer == project.ask()
        rolled_back = project.models("rollback", "flowers")
        assert (rolled_back["before"], rolled_back["after"], rolled_back["remaining"]) == (2, 1, [1])
        assert project.ask("--rest", rest, label=None) == over_rest
        assert project.ask("--grpc", grpc, label=None) == over_grpc


def flatten(row: Any) -> list[float]:
    """Return the numbers of a prediction, whatever the nesting."""
    if isinstance(row, dict):
        row = list(row.values())
    return [number for part in row for number in flatten(part)] if isinstance(row, list) else [row]
