"""Cached steps: what is taken, what is not any more, and that TFX would have recorded the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.metadata import Store
from penstock.metadata.owners import Owner
from penstock.metadata.vocabulary import END_REASON, NODE, OWNER
from penstock.pipelines.config import load
from penstock.pipelines.graph import Graph

STEPS = "tests.pipelines.runners.killed_steps"
PIPELINE = f"""
pipeline: p
root: runs
steps:
  rows: {{component: {STEPS}.rows, with: {{name: one}}}}
  search: {{component: {STEPS}.search}}
"""


class Launched:
    """A pipeline whose steps are launched in this process."""

    def __init__(self, folder: Path) -> None:
        from penstock.pipelines.build import import_and_describe
        from penstock.pipelines.resolve import resolve

        (folder / "pyproject.toml").touch()
        (folder / "p.yaml").write_text(PIPELINE)
        self.folder = folder
        self.graph: Graph = resolve(load(folder / "p.yaml"), import_and_describe)
        self.sqlite = Path(self.graph.sqlite)
        self._runs = 0

    def ir(self) -> Any:
        """Compile another run."""
        from penstock.pipelines.build import compile_graph

        self._runs += 1
        return compile_graph(self.graph, f"run{self._runs}")

    def run(self, names: Sequence[str] = ("rows", "search"), *, only_cached: bool = False) -> list[str]:
        """Run as ``penstock run`` does; return whether each step was cached or ran."""
        from penstock.pipelines.runners.jobs import launcher, store_of

        ir, states = self.ir(), []
        with store_of(ir, Owner.here(self.graph.name, self.graph.root, "lock")) as handle:
            for name in names:
                launches = launcher(ir, name, handle)
                found = launches.from_cache()
                states.append("cached" if found is not None else "none" if only_cached else "ran")
                if found is None and not only_cached:
                    launches.launch()
        return states

    def run_by_tfx(self) -> None:
        """Run by TFX's own launcher."""
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.metadata import Metadata
        from tfx.orchestration.portable.launcher import Launcher

        ir = self.ir()
        deployment = runner_utils.extract_local_deployment_config(ir)
        for node in (node.pipeline_node for node in ir.nodes):
            Launcher(
                pipeline_node=node,
                mlmd_connection=Metadata(_config(self.sqlite)),
                pipeline_info=ir.pipeline_info,
                pipeline_runtime_spec=ir.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, node.node_info.id),
            ).launch()

    @property
    def store(self) -> Any:
        from ml_metadata.metadata_store import MetadataStore

        return MetadataStore(_config(self.sqlite))

    def recorded(self, run: str) -> dict[str, Any]:
        """Return what the store says of a run, without what differs from run to run."""
        store, found = self.store, {}
        context = store.get_context_by_type_and_name("pipeline_run", run)
        for execution in store.get_executions_by_context(context.id):
            contexts = sorted(
                (one.type, one.name.replace(run, "")) for one in store.get_contexts_by_execution(execution.id)
            )
            events = sorted(
                (event.type, event.artifact_id, event.path.steps[0].key)
                for event in store.get_events_by_execution_ids([execution.id])
            )
            properties = {
                key: str(value)
                for key, value in {**execution.properties, **execution.custom_properties}.items()
                if not key.startswith(("penstock_", "__stateful"))
            }
            found[execution.type] = (execution.last_known_state, contexts, events, properties)
        return found

    def outputs(self) -> list[Any]:
        return [artifact for artifact in self.store.get_artifacts() if Path(artifact.uri).exists()]


def _config(sqlite: Path) -> Any:
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(sqlite)
    return config


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launched:
    monkeypatch.chdir(tmp_path)
    return Launched(tmp_path)


def test_what_has_run_is_cached_and_says_so_as_tfx_does(launched):
    assert launched.run() == ["ran", "ran"]
    assert launched.run() == ["cached", "cached"]
    launched.run_by_tfx()
    assert launched.recorded("run2") == launched.recorded("run3")
    assert len(launched.outputs()) == 2


def test_every_execution_is_signed_and_a_step_is_found_without_its_context(launched):
    launched.run()
    launched.run()
    executions = launched.store.get_executions()
    assert [execution.custom_properties[NODE].string_value for execution in executions] == ["p.rows", "p.search"] * 2
    owners = [Owner.from_text(execution.custom_properties[OWNER].string_value) for execution in executions]
    assert {owner.root for owner in owners if owner is not None} == {launched.graph.root}
    store = Store(launched.sqlite, "p")
    for run in ("run1", "run2"):
        (found,) = store.outputs(run, "search")["hyperparameters"]
        assert found.uri.endswith("/search/hyperparameters/2")
    last = store.last_success("search")
    assert last is not None
    assert (last.id, last.state) == (4, "CACHED")


def test_a_look_up_alone_runs_and_records_nothing(launched):
    assert launched.run(["rows"], only_cached=True) == ["none"]
    assert launched.store.get_executions() == []


def test_what_tfx_has_run_is_cached(launched):
    launched.run_by_tfx()
    assert launched.run() == ["cached", "cached"]


def test_a_result_whose_files_are_gone_does_not_count(launched):
    launched.run()
    for file in launched.folder.glob("runs/search/hyperparameters/*/*"):
        file.unlink()
    for folder in launched.folder.glob("runs/search/hyperparameters/*"):
        folder.rmdir()
    assert launched.run() == ["cached", "ran"]
    assert launched.run() == ["cached", "cached"]


def test_a_version_that_was_pushed_and_is_gone_does_not_count(launched):
    launched.run()
    version = launched.folder / "serving/1"
    version.mkdir(parents=True)
    (pushed,) = (artifact for artifact in launched.outputs() if "/search/" in artifact.uri)
    pushed.custom_properties["pushed_destination"].string_value = str(version)
    launched.store.put_artifacts([pushed])
    assert launched.run() == ["cached", "cached"]
    version.rmdir()
    assert launched.run() == ["cached", "ran"]


def test_after_a_failure_the_result_of_before_counts(launched):
    from ml_metadata.proto import metadata_store_pb2 as pb

    launched.run()
    launched.graph = replace(
        launched.graph, steps={name: replace(step, cache=False) for name, step in launched.graph.steps.items()}
    )
    assert launched.run(["rows"]) == ["ran"]
    (newest,) = launched.store.get_executions_by_id([3])
    newest.last_known_state = pb.Execution.FAILED
    launched.store.put_executions([newest])
    launched.graph = replace(
        launched.graph, steps={name: replace(step, cache=True) for name, step in launched.graph.steps.items()}
    )
    assert launched.run(["rows"]) == ["cached"]
    (used,) = Store(launched.sqlite, "p").outputs("run3", "rows")["examples"]
    assert used.uri.endswith("/rows/examples/1")


def _lost(launched: Launched, step: str) -> tuple[tuple[int, ...], bool] | None:
    """Return what the launcher says of an earlier result of a step that it would run."""
    from penstock.pipelines.runners.jobs import launcher, store_of
    from penstock.pipelines.runners.launch import lost_result

    ir = launched.ir()
    with store_of(ir, Owner.here(launched.graph.name, launched.graph.root, "lock")) as handle:
        launcher(ir, "rows", handle).from_cache()
        prepared = launcher(ir, step, handle)._prepare_execution()
        return lost_result(handle.store, prepared.contexts[-1], prepared.execution_info.execution_id)


def test_a_result_that_there_never_was_is_not_lost(launched):
    launched.run(["rows"])
    assert _lost(launched, "search") is None


@pytest.mark.parametrize("removed", [True, False])
def test_a_lost_result_is_told(launched, removed):
    from ml_metadata.proto import metadata_store_pb2 as pb

    launched.run()
    (output,) = (artifact for artifact in launched.outputs() if "/search/" in artifact.uri)
    shutil.rmtree(output.uri)
    if removed:
        output.state = pb.Artifact.DELETED
        launched.store.put_artifacts([output])
    assert _lost(launched, "search") == ((output.id,), removed)


def test_a_failure_is_recorded_with_its_reason(launched, monkeypatch):
    from ml_metadata.proto import metadata_store_pb2 as pb

    from penstock.pipelines.runners.jobs import launcher, store_of

    ir = launched.ir()
    with store_of(ir, Owner.here(launched.graph.name, launched.graph.root, "lock")) as handle:
        launches = launcher(ir, "rows", handle)
        launches.tell = lambda raised: f"told: {raised}"
        monkeypatch.setattr("tests.pipelines.runners.killed_steps.FILES", "three")
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            launches.launch()
    (execution,) = launched.store.get_executions()
    assert execution.last_known_state == pb.Execution.FAILED
    reason = execution.custom_properties[END_REASON].string_value
    assert reason == "told: 'str' object cannot be interpreted as an integer"
