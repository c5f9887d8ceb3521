"""What goes wrong in a run: user code that raises, Ctrl-C, a kill. Nothing is lost, and the message is the user's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.e2e.conftest import command, penstock, run, states

CODE = """
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, ModelRun


@component
def make(text: Parameter[str], model: OutputArtifact[Model]) -> None:
    Path(model.uri, "text").write_text(text)


@component
def fail(model: InputArtifact[Model], model_run: OutputArtifact[ModelRun], really: Parameter[bool] = True) -> None:
    if really:
        check(Path(model.uri, "text").read_text())


def check(text):
    raise ValueError(f"cannot use {text}")


@component
def wait(model: InputArtifact[Model], model_run: OutputArtifact[ModelRun], seconds: Parameter[int] = 0) -> None:
    Path(model_run.uri, "started").touch()
    time.sleep(seconds)


@component
def after(model_run: InputArtifact[ModelRun]) -> None:
    pass
"""
MAKE = "  make: {component: parts.make, with: {text: one}}\n"


@pytest.fixture
def parts(project: Project) -> Project:
    project.write("parts.py", CODE)
    return project


def executions(project: Project) -> dict[str, list[str]]:
    """Return step → states of its executions, from a new look at the store."""
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(project.folder / "runs/metadata.sqlite")
    store = metadata_store.MetadataStore(config)
    found: dict[str, list[str]] = {}
    for context in store.get_contexts_by_type("node"):
        name = metadata_store_pb2.Execution.State.Name
        ended = [name(execution.last_known_state) for execution in store.get_executions_by_context(context.id)]
        found[context.name.removeprefix("p.")] = sorted(ended)
    return found


def test_a_failing_step_stops_what_depends_on_it_and_nothing_else(parts):
    file = parts.pipeline(
        MAKE
        + "  fail: {component: parts.fail}\n  stopped: {component: parts.after, inputs: {model_run: fail.model_run}}\n"
        "  other: {component: parts.wait}\n  last: {component: parts.after, inputs: {model_run: other.model_run}}\n"
    )
    report = run(file, expect=1, cwd=parts.folder)
    assert states(report) == {"make": "ran", "fail": "failed", "other": "ran", "stopped": "not run", "last": "ran"}
    failed = next(step for step in report["steps"] if step["name"] == "fail")
    assert failed["error"]["what"] == "your code raised ValueError: cannot use one"
    assert [frame["function"] for frame in failed["error"]["frames"]] == ["fail", "check"]
    assert "ValueError: cannot use one" in Path(failed["log"]).read_text()
    stopped = next(step for step in report["steps"] if step["name"] == "stopped")
    assert stopped["reason"] == "fail failed"

    mended = run(file, "--set", "steps.fail.with.really=false", cwd=parts.folder)
    assert states(mended) == {"make": "cached", "fail": "ran", "other": "cached", "stopped": "ran", "last": "cached"}


def test_the_terminal_shows_the_users_frames_and_the_log(parts):
    file = parts.pipeline(MAKE + "  fail: {component: parts.fail}\n")
    ended = command("run", str(file), cwd=parts.folder)
    assert ended.returncode == 1
    assert "fail failed" in ended.stdout
    assert "your code raised ValueError: cannot use one" in ended.stdout
    assert 'raise ValueError(f"cannot use {text}")' in ended.stdout
    assert "fail.log" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_edited_user_code_runs_again(parts):
    file = parts.pipeline(MAKE)
    run(file, cwd=parts.folder)
    parts.write("parts.py", CODE.replace("write_text(text)", "write_text(text * 2)"))
    assert states(run(file, cwd=parts.folder)) == {"make": "ran"}
    parts.write("neighbour.py", "nothing = 'that parts.py imports'\n")
    assert states(run(file, cwd=parts.folder)) == {"make": "cached"}
    assert states(run(file, "--no-cache", "make", cwd=parts.folder)) == {"make": "ran"}


def test_what_importing_a_component_brings_to_light_is_a_config_error(parts):
    file = parts.pipeline("  make: {component: parts.make, with: {txt: one}}\n")
    ended = penstock("run", str(file), cwd=parts.folder)
    assert ended.returncode == 2
    assert "p.yaml:4:40: unknown key 'txt' in steps.make.with" in ended.stderr
    assert "1 problem in p.yaml; nothing was run." in ended.stderr
    assert "did you mean 'text'?" in ended.stderr


def _start(project: Project, file: Path) -> subprocess.Popen[str]:
    """Start a run and return when its ``wait`` step has begun."""
    command = [sys.executable, "-m", "penstock", "run", str(file)]
    process = subprocess.Popen(command, cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not list(project.folder.glob("runs/slow/model_run/*/started")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


SLOW = "  slow: {component: parts.wait, with: {seconds: 300}}\n"


def test_ctrl_c_ends_cleanly_and_the_next_run_continues(parts):
    file = parts.pipeline(MAKE + SLOW)
    process = _start(parts, file)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 130, output + errors
    assert "Interrupted. Finished steps are kept and will be cached." in output
    assert "Traceback" not in output + errors
    assert executions(parts) == {"make": ["COMPLETE"], "slow": ["FAILED"]}
    assert list((parts.folder / "runs/slow/model_run").iterdir()) == []

    report = run(file, "--set", "steps.slow.with.seconds=0", cwd=parts.folder)
    assert states(report) == {"make": "cached", "slow": "ran"}


def test_a_killed_run_leaves_no_process_and_the_next_run_closes_its_records(parts):
    file = parts.pipeline(MAKE + SLOW)
    process = _start(parts, file)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 240
    while _processes_in(parts.folder):
        assert time.monotonic() < deadline, _processes_in(parts.folder)
        time.sleep(0.1)
    assert executions(parts)["slow"] == ["RUNNING"]

    report = run(file, "--set", "steps.slow.with.seconds=0", cwd=parts.folder)
    assert states(report) == {"make": "cached", "slow": "ran"}
    assert executions(parts) == {"make": ["CACHED", "COMPLETE"], "slow": ["COMPLETE", "FAILED"]}
    assert len(list((parts.folder / "runs/slow/model_run").iterdir())) == 1


def _processes_in(folder: Path) -> list[str]:
    """Return the processes that work in ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder and int(entry.name) != os.getpid():
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found
