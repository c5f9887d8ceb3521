"""Beam work through a job server, whatever runs behind it: here Beam's own job service stands in for Java and Flink."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.components.batch_inference.conftest import example, read_lines
from tests.components.batch_inference.scaler import save_scaler
from tests.conftest import REPOSITORY
from tests.e2e.conftest import penstock, run, states
from tests.pipelines.engines.job_service import job_servers, write_jar, write_java


@pytest.fixture(scope="module")
def beam(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Options of Beam that start the stand-in."""
    folder = tmp_path_factory.mktemp("job-service")
    return {"job_server_java_launcher": write_java(folder), "flink_job_server_jar": write_jar(folder)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    found = tmp_path_factory.mktemp("infer")
    save_scaler(found / "models" / "scaler" / "4", 2.0)
    for letter in "ab":
        with tf.io.TFRecordWriter(str(found / f"{letter}.tfrecord")) as writer:
            for n in range(100):
                writer.write(example(x=[float(n), 1.0], id=n))
    return found


def test_infer(folder: Path, beam: dict[str, Path]) -> None:
    options = [text for key, value in beam.items() for text in ("--beam", f"{key}={value}")]
    infer = [
        "infer",
        "--model",
        "models/scaler",
        "--signature",
        "serialized",
        "--input",
        "*.tfrecord",
        "--include",
        "id",
    ]
    ended = penstock(*infer, "--output", "out", "--runner", "flink", *options, "--json", cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["results"] == 200
    rows = read_lines(sorted((folder / "out").glob("prediction.results-*")))
    assert [(row["id"], row["y"][0]) for row in rows] == [(n, 2.0 * n) for n in range(100)] * 2
    assert "serving on" in (folder / ".penstock/job-server.log").read_text()
    assert not job_servers(folder)


def test_all_steps_of_a_run_share_one(digits: Path, beam: dict[str, Path]) -> None:
    root = digits / "root"
    report = run("configs/digits-flink.yaml", *_settings(digits, root, beam))
    assert states(report) == {"examples": "ran", "statistics": "ran", "schema": "ran", "validator": "ran"}
    (log,) = root.glob("logs/*/job-server.log")
    assert log.read_text().count("serving on") == 1
    # Where the server listens is no part of what a result depends on.
    assert set(states(run("configs/digits-flink.yaml", *_settings(digits, root, beam))).values()) == {"cached"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left(digits: Path, beam: dict[str, Path], tmp_path: Path, number: signal.Signals) -> None:
    settings = _settings(digits, tmp_path / "root", beam)
    command = [sys.executable, "-m", "penstock", "run", "configs/digits-flink.yaml", *settings]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _wait(lambda: bool(job_servers(tmp_path)), process)
        process.send_signal(number)
    _wait(lambda: not job_servers(tmp_path))


def test_a_job_server_that_does_not_start(digits: Path, tmp_path: Path) -> None:
    broken = tmp_path / "java"
    broken.write_text("#!/bin/sh\necho 'Error: Invalid or corrupt jarfile' >&2\nexit 1\n")
    broken.chmod(0o755)
    beam = {"job_server_java_launcher": broken, "flink_job_server_jar": write_jar(tmp_path)}
    ended = penstock("run", "configs/digits-flink.yaml", *_settings(digits, tmp_path / "root", beam))
    assert ended.returncode == 1
    told = ended.stdout + ended.stderr
    assert "the job server ended with exit code 1" in told
    assert "received: Error: Invalid or corrupt jarfile" in told
    assert "Traceback" not in told


def _settings(digits: Path, root: Path, beam: dict[str, Path]) -> list[str]:
    options = ", ".join(f"{key}: '{value}'" for key, value in beam.items())
    settings = {"root": root, "steps.examples.with.input_base": digits / "data", "beam.options": f"{{{options}}}"}
    settings |= {
        f"steps.{name}.enabled": "false" for name in ("transform", "trainer", "evaluator", "pusher", "predictions")
    }
    return [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]


def _wait(true, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline, "in vain"
        assert process is None or process.poll() is None, "the run has ended"
        time.sleep(0.1)
