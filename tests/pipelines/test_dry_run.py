"""What ``plan`` says is what ``run`` then does, and asking changes nothing in the store, wherever that is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penstock.metadata.connection import open_store
from penstock.metadata.owners import Owner
from penstock.pipelines.config import load
from penstock.pipelines.graph import Graph
from penstock.pipelines.plan import DryRun, PlannedStep
from penstock.pipelines.why import why
from tests.metadata.servers import KINDS, PASSWORD, VARIABLE, declared

STEPS = "tests.pipelines.runners.killed_steps"
PIPELINE = f"""
pipeline: p
root: runs
vars: {{name: one}}
steps:
  rows: {{component: {STEPS}.rows, with: {{name: "${{vars.name}}"}}}}
  search: {{component: {STEPS}.search, inputs: {{examples: rows.examples}}}}
  latest: {{component: Resolver, with: {{strategy: latest, artifacts: {{examples: Examples}}}}, after: [search]}}
  again: {{component: {STEPS}.search, inputs: {{examples: latest.examples}}}}
"""


class Project:
    """A pipeline whose steps are planned, and launched, in this process."""

    def __init__(self, folder: Path, metadata: str, dump: Callable[[], Any]) -> None:
        (folder / "pyproject.toml").touch()
        self.file = folder / "p.yaml"
        self.file.write_text(f"{PIPELINE}{metadata}\n")
        self.dump = dump
        self._runs = 0

    def plan(self, *overrides: str) -> list[PlannedStep]:
        before = self.dump()
        graph = self._graph(overrides)
        dry_run = DryRun(graph, self.file.parent / f"scratch-{self._runs}")
        planned = [dry_run.step(step) for step in graph.steps.values()]
        assert self.dump() == before
        return planned

    def run(self, *overrides: str) -> dict[str, bool]:
        """Run as ``penstock run`` does; return whether each step was cached, or looked something up."""
        from penstock.pipelines.build import compile_graph
        from penstock.pipelines.runners.jobs import launcher, store_of

        graph, cached = self._graph(overrides), {}
        self._runs += 1
        ir = compile_graph(graph, f"run{self._runs}")
        with store_of(ir, Owner.here(graph.name, graph.root, "lock")) as handle:
            for name in graph.steps:
                launches = launcher(ir, name, handle)
                cached[name] = launches.looks_up or launches.from_cache() is not None
                if launches.looks_up or not cached[name]:
                    launches.launch()
        return cached

    def mark_as_removed(self, step: str) -> str:
        """Do as ``penstock gc`` does before it removes the output of a step; return its URI."""
        from ml_metadata.proto import metadata_store_pb2 as pb

        store = open_store(self._graph(()).location, writable=True)
        (output,) = (artifact for artifact in store.get_artifacts() if f"/{step}/" in artifact.uri)
        output.state = pb.Artifact.DELETED
        store.put_artifacts([output])
        return str(output.uri)

    def _graph(self, overrides: tuple[str, ...]) -> Graph:
        from penstock.pipelines.build import import_and_describe
        from penstock.pipelines.resolve import resolve

        return resolve(load(self.file, overrides), import_and_describe)


@pytest.fixture(params=["sqlite", *KINDS])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, PASSWORD)
    if request.param == "sqlite":
        yield Project(tmp_path, "", lambda: _rows(tmp_path / "runs" / "metadata.sqlite"))
        return
    with KINDS[request.param]() as database:
        server = database.database("p")
        there = {"mysql": "SHOW DATABASES", "postgresql": "SELECT datname FROM pg_database"}[server.kind]

        def dump() -> Any:
            known = (server.database,) in database.rows("", there)
            return database.dump(server.database) if known else None

        yield Project(tmp_path, f"metadata: {declared(server)}", dump)


def _rows(file: Path) -> list[str] | None:
    if not file.exists():
        return None
    with closing(sqlite3.connect(file)) as database:
        return list(database.iterdump())


def test_a_plan_is_what_the_run_then_does(project: Project):
    for overrides, cached in (
        ((), set()),
        ((), {"rows", "search", "latest", "again"}),
        (("vars.name=two",), set()),
        (("steps.search.cache=false",), {"rows"}),
    ):
        planned = project.plan(*overrides)
        assert {step.name for step in planned if step.cached} == cached
        ran = project.run(*overrides)
        for step in planned:
            # A step that waits for one that would run may still be cached, as that one may give the same.
            assert step.cached is ran[step.name] or step.reason.endswith(" would run"), (overrides, step)


def test_outputs_that_are_gone_are_made_again(project: Project):
    project.run()
    shutil.rmtree(next(Path("runs/search/hyperparameters").iterdir()))
    planned = {step.name: step for step in project.plan()}
    assert (planned["rows"].cached, planned["search"].cached) == (True, False)
    assert planned["search"].reason == "its earlier outputs are gone"
    found = why(load(project.file), "search")
    assert (found.cached, found.reason, found.run) == (False, "its earlier outputs are gone", "run1")
    assert [Path(uri).parent.name for uri in found.gone] == ["hyperparameters"]
    assert project.run()["search"] is False


def test_outputs_that_gc_removed_are_told_as_such(project: Project):
    project.run()
    removed = project.mark_as_removed("search")
    assert {step.name: step.reason for step in project.plan()}["search"] == "its earlier outputs were removed by gc"
    found = why(load(project.file), "search")
    assert (found.reason, found.gone) == ("its earlier outputs were removed by gc", (removed,))


def test_why_tells_the_same_and_changes_nothing(project: Project):
    project.run()
    before = project.dump()
    found = why(load(project.file), "search")
    assert (found.cached, found.run) == (True, "run1")
    assert found.reason == "the same inputs (examples), parameters and code as in run run1"
    changed = why(load(project.file, ["vars.name=two"]), "rows")
    assert (changed.cached, changed.run) == (False, "run1")
    assert [(one.kind, one.name, one.before, one.after) for one in changed.changes] == [
        ("parameter", "name", "one", "two")
    ]
    assert project.dump() == before
