"""Times a cached step against the number of earlier runs: ``python -m benchmarks.metadata_cache [--runs 0,100,…]``.

A pipeline of five light steps runs once; then its SQLite store is filled with cached runs of the same pipeline, as TFX
writes them, in bulk. Then the pipeline is run cached by what ``penstock run`` calls for each step, and by TFX's own
launcher on a copy of the same store, in the same process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

RUNS = (0, 100, 1000, 10000)
_STEPS = "tests.pipelines.runners.killed_steps"
_PIPELINE = f"""
pipeline: cached
root: runs
steps:
  rows: {{component: {_STEPS}.rows, with: {{name: all}}}}
  search: {{component: {_STEPS}.search}}
  train: {{component: {_STEPS}.train, with: {{saved_model: saved_model}}}}
  measure: {{component: {_STEPS}.measure, inputs: {{model: train.model}}}}
  watch: {{component: {_STEPS}.watch, inputs: {{run: measure.run, model: train.model}}}}
"""
_RUNS_A_WRITE = 200
_TFX_STEPS = 2
"""How many of the steps TFX runs: with 10,000 runs behind it, each takes it longer than seeding them."""


class _Bench:
    """One pipeline in a folder, with the store at any place."""

    def __init__(self, folder: Path) -> None:
        from penstock.pipelines.build import import_and_describe
        from penstock.pipelines.config import load
        from penstock.pipelines.resolve import resolve

        (folder / "saved_model").mkdir()
        (folder / "saved_model/saved_model.pb").write_bytes(b"graph")
        (folder / "pyproject.toml").touch()
        file = folder / "cached.yaml"
        file.write_text(_PIPELINE, encoding="utf-8")
        settings = [f"steps.train.with.saved_model={folder / 'saved_model'}"]
        self.graph = resolve(load(file, settings), import_and_describe)
        self._run = 0

    def compiled(self, sqlite: Path) -> Any:
        """Return the pipeline compiled for another run."""
        from dataclasses import replace

        from penstock.pipelines.build import compile_graph

        self._run += 1
        return compile_graph(replace(self.graph, sqlite=str(sqlite)), f"run-{sqlite.stem}-{self._run}")

    def ours(self, sqlite: Path, *, cached: bool = True) -> list[float]:
        """Run once; return the milliseconds of each step."""
        from penstock.metadata.owners import Owner
        from penstock.pipelines.runners.jobs import launcher, store_of

        ir = self.compiled(sqlite)

        def step(name: str) -> bool:
            launches = launcher(ir, name, handle)
            return launches.from_cache() is not None if cached else launches.launch() is not None

        with store_of(ir, Owner.here(self.graph.name, self.graph.root, "benchmark")) as handle:
            return list(_timed(step, list(self.graph.steps)))

    def closing(self, sqlite: Path) -> float:
        """Return the milliseconds in which a run looks for what earlier ones left RUNNING, once."""
        from penstock.metadata.owners import Owner
        from penstock.pipelines.runners.jobs import store_of
        from penstock.pipelines.runners.recovery import close_stale

        owner = Owner.here(self.graph.name, self.graph.root, "benchmark")
        with store_of(self.compiled(sqlite), owner) as handle:
            began = time.perf_counter()
            close_stale(handle.store, owner, "")
            return (time.perf_counter() - began) * 1e3

    def tfx(self, sqlite: Path) -> list[float]:
        """Run the first steps once with TFX's launcher; return the milliseconds of each."""
        from tfx.orchestration import metadata
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable import launcher

        ir = self.compiled(sqlite)
        deployment = runner_utils.extract_local_deployment_config(ir)
        connection = metadata.Metadata(metadata.sqlite_metadata_connection_config(str(sqlite)))
        nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}

        def step(name: str) -> bool:
            info = launcher.Launcher(
                pipeline_node=nodes[name],
                mlmd_connection=connection,
                pipeline_info=ir.pipeline_info,
                pipeline_runtime_spec=ir.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, name),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
            ).launch()
            with connection as handle:
                (execution,) = handle.store.get_executions_by_id([info.execution_id])
            return bool(execution.last_known_state == execution.CACHED)

        return list(_timed(step, list(self.graph.steps)[:_TFX_STEPS]))


def _timed(step: Callable[[str], bool], names: Sequence[str]) -> Iterator[float]:
    for name in names:
        began = time.perf_counter()
        done = step(name)
        yield (time.perf_counter() - began) * 1e3
        if not done:
            raise RuntimeError(f"step {name} did not end as it should")


def fill(sqlite: Path, runs: int) -> None:
    """Add cached runs to a store that holds one run: as many executions, events and contexts as TFX writes for each."""
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(sqlite)
    store = MetadataStore(config)
    there = store.get_contexts_by_type("pipeline_run")
    run = min(there, key=lambda context: context.id)
    first = store.get_executions_by_context(run.id)
    events = store.get_events_by_execution_ids([execution.id for execution in first])
    artifacts = store.get_artifacts()
    places = {artifact.id: place for place, artifact in enumerate(artifacts)}
    contexts = {execution.id: store.get_contexts_by_execution(execution.id) for execution in first}
    run_type = store.get_context_type("pipeline_run").id
    for start in range(0, runs, _RUNS_A_WRITE):
        names = range(start, min(start + _RUNS_A_WRITE, runs))
        executions = [_copy(execution) for _ in names for execution in first]
        edges = [
            (number * len(first) + order, places[event.artifact_id], _event(event))
            for number, _ in enumerate(names)
            for order, execution in enumerate(first)
            for event in events
            if event.execution_id == execution.id
        ]
        ids, _, _ = store.put_lineage_subgraph(executions, artifacts, [], edges)
        made = store.put_contexts([pb.Context(type_id=run_type, name=f"earlier-{len(there) + name}") for name in names])
        links = [
            pb.Association(execution_id=ids[number * len(first) + order], context_id=context)
            for number, _ in enumerate(names)
            for order, execution in enumerate(first)
            for context in (made[number], *_lasting(contexts[execution.id], run_type))
        ]
        seen = [pb.Attribution(artifact_id=artifact.id, context_id=run) for run in made for artifact in artifacts]
        store.put_attributions_and_associations(seen, links)


def _lasting(contexts: Sequence[Any], run_type: int) -> list[int]:
    return [context.id for context in contexts if context.type_id != run_type]


def _copy(execution: Any) -> Any:
    copy = type(execution)()
    copy.CopyFrom(execution)
    for name in ("id", "name", "create_time_since_epoch", "last_update_time_since_epoch"):
        copy.ClearField(name)
    copy.last_known_state = copy.CACHED
    return copy


def _event(event: Any) -> Any:
    copy = type(event)(type=event.type)
    copy.path.CopyFrom(event.path)
    return copy


def measure(folder: Path, *, rounds: int = 5, runs: Sequence[int] = RUNS) -> dict[str, Any]:
    """Return, for each number of earlier runs, the milliseconds of a cached step, ours and TFX's.

    Args:
        folder: An empty folder.
        rounds: Cached runs of ours of which the median is taken. TFX, which may take minutes, runs once.
        runs: Earlier runs, counts in ascending order.
    """
    bench, filled = _Bench(folder), 0
    sqlite = folder / "runs/metadata.sqlite"
    bench.ours(sqlite, cached=False)
    bench.ours(sqlite)  # Whatever is imported or compiled at first use is now.
    found: dict[str, Any] = {}
    for count in runs:
        fill(sqlite, count - filled)
        filled = count
        copy = folder / f"tfx-{count}.sqlite"
        shutil.copyfile(sqlite, copy)
        before = time.process_time()
        ours = [step for _ in range(rounds) for step in bench.ours(sqlite)]
        processor = (time.process_time() - before) * 1e3 / len(ours)
        closing = statistics.median(bench.closing(sqlite) for _ in range(rounds))
        tfx = bench.tfx(copy)
        found[str(count)] = {
            "ours_ms_a_step": round(statistics.median(ours), 2),
            "ours_ms_a_step_slowest": round(max(ours), 2),
            "ours_cpu_ms_a_step_with_compiling": round(processor, 2),
            "ours_ms_a_run_to_look_for_stale_executions": round(closing, 2),
            "tfx_ms_a_step": round(statistics.median(tfx), 2),
            "ratio": round(statistics.median(tfx) / statistics.median(ours), 1),
        }
        sys.stderr.write(f"{count} earlier runs: {found[str(count)]}\n")
        copy.unlink()
    return found


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description="Time cached steps against the number of earlier runs.")
    parser.add_argument("--runs", default=",".join(map(str, RUNS)), help="earlier runs, counts separated by commas")
    parser.add_argument("--rounds", type=int, default=5, help="cached runs to measure, a count (default 5)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runs = [int(count) for count in arguments.runs.split(",")]
        report = measure(Path(name), rounds=arguments.rounds, runs=runs)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
