"""Ctrl-C, at moments that no run of a pipeline meets by chance."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from penstock.pipelines import cli
from penstock.pipelines.catalog import ComponentType
from penstock.pipelines.cli import run
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.runners import local
from penstock.pipelines.runners.jobs import Prepared, Selection

GRAPH = Graph(
    "p",
    "/runs",
    "/runs/metadata.sqlite",
    Path("/project"),
    (),
    {name: Step(name, ComponentType(name="Trainer", import_path="x.Trainer")) for name in ("one", "two", "last")},
)
NOTHING: Any = SimpleNamespace()


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_while_the_command_line_is_imported(monkeypatch, capsys):
    class Importing:
        find_spec = interrupt

    monkeypatch.delitem(sys.modules, "penstock.pipelines.cli.app", raising=False)
    monkeypatch.delattr(cli, "app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Importing(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr()) == (130, ("", ""))


def test_while_steps_are_ended_after_the_first_one(monkeypatch, capsys):
    class Runner:
        def __init__(self, *_, **__):
            pass

        run = interrupt

    monkeypatch.setattr(local, "LocalRunner", Runner)
    with pytest.raises(typer.Exit) as ended:
        run._execute(NOTHING, Selection(), wait=False, jobs=2, quiet=False)
    assert ended.value.exit_code == 130
    assert (
        capsys.readouterr().err == "Interrupted. The next run closes what was begun, and takes up what has finished.\n"
    )


def test_while_the_summary_is_made(monkeypatch):
    result = local.RunResult("r", Path("/logs"), GRAPH, (), 1.0, 2.0)

    class Runner:
        workers = SimpleNamespace(run=interrupt)

        def __init__(self, *_, **__):
            pass

        def run(self):
            return result

    monkeypatch.setattr(local, "LocalRunner", Runner)
    ended, summary = run._execute(NOTHING, Selection(), wait=False, jobs=2, quiet=False)
    assert (ended.interrupted, ended.run_id, summary) == (True, "r", None)


def test_who_asks_twice_waits_for_no_step_any_more(monkeypatch):
    graces = []

    class Task:
        log = Path("/logs/step.log")

        def stop(self, grace):
            graces.append(grace)
            if len(graces) == 1:
                raise KeyboardInterrupt

    told: list[local.StepRun] = []
    asked: list[tuple[str, str]] = []
    loaded: Any = SimpleNamespace(root="/runs", config=None, document=None)
    runner = local.LocalRunner(
        loaded, Selection(), SimpleNamespace(finished=told.append, step_status=lambda *said: asked.append(said))
    )
    monkeypatch.setattr(runner, "_record_failures", lambda *_: None)
    for name in ("one", "two"):
        runner._running.tasks[name] = Task()  # type: ignore[assignment]
        runner._running.started[name] = time.monotonic()
    runner._interrupt(Prepared(GRAPH, b""))
    assert graces == [local._GRACE_SECONDS, 0.0, 0.0]
    assert asked == [(name, "is asked to end; Ctrl-C again ends it at once") for name in ("one", "two")]
    assert [(step.name, step.state) for step in told] == [
        ("one", "interrupted"),
        ("two", "interrupted"),
        ("last", "not run"),
    ]
