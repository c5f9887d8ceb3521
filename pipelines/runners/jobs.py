"""What the worker processes do. Each function runs in a process of its own, with TFX imported."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penstock.errors import ArtifactError, ConfigError
from penstock.pipelines.config import Loaded
from penstock.pipelines.graph import Graph
from penstock.pipelines.resolve import resolve
from penstock.pipelines.runners.facts import record_evaluation, record_run
from penstock.recording import recording

State = Literal["ran", "cached", "failed", "not run", "reused", "interrupted"]


@dataclass(frozen=True)
class Selection:
    """Which steps of a pipeline to run.

    Attributes:
        only: Run these alone; empty for all.
        start: Run this step and all that depend on it; None for all.
        cache: Whether earlier results may be reused at all.
    """

    only: tuple[str, ...] = ()
    start: str | None = None
    cache: bool = True

    @property
    def named(self) -> tuple[str, ...]:
        """The steps that the user asked for by name."""
        return (*self.only, *([self.start] if self.start else []))


@dataclass(frozen=True)
class Prepared:
    """A pipeline ready to run: the graph with every component imported, and the IR for one run."""

    graph: Graph
    ir: bytes
    reused: frozenset[str]


def prepare(loaded: Loaded, selection: Selection, run_id: str, ir_file: Path) -> Prepared:
    """Import and check what ``validate`` could not, build and compile the pipeline, and get the store ready.

    Raises:
        ConfigProblems: What importing the components brought to light.
        ConfigError: ``--from`` or ``--only`` cannot be followed.
    """
    from google.protobuf import text_format

    from penstock.pipelines.build import compile_graph, import_and_describe
    from penstock.pipelines.runners.recovery import close_stale

    graph = resolve(loaded, import_and_describe)
    ir = compile_graph(graph, run_id)
    with _store(ir) as handle:
        close_stale(handle, graph, "the run that started it ended without finishing it")
        record_run(handle.store, loaded, graph, run_id)
        reused = _select(ir, selection, handle)
    ir_file.write_text(text_format.MessageToString(ir), encoding="utf-8")
    return Prepared(graph, ir.SerializeToString(), reused)


def run_step(ir: bytes, step: str) -> dict[str, Any]:
    """Run one step through TFX's launcher.

    Returns:
        ``state`` (``ran`` or ``cached``) and ``seconds`` of wall time.

    Raises:
        Exception: Whatever the step raised.
    """
    from ml_metadata.proto import metadata_store_pb2

    started = time.monotonic()
    pipeline = load(ir)
    with recording():
        info = launcher(pipeline, step).launch()
        execution = _recorded(pipeline, step, info)
    looked_up = info.pipeline_node.node_info.type.name.endswith(".Resolver")
    cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
    return {"state": "cached" if cached and not looked_up else "ran", "seconds": time.monotonic() - started}


def _recorded(pipeline: Any, step: str, info: Any) -> Any:
    """Return the execution that the launcher recorded.

    Raises:
        ArtifactError: The step was not run, though the launcher says nothing of it.
    """
    from ml_metadata.proto import metadata_store_pb2

    execution_id = getattr(info, "execution_id", None)
    if execution_id is None:
        raise ArtifactError(f"step '{step}' was skipped: an input that it needs does not exist", where=step)
    with _store(pipeline) as handle:
        (execution,) = handle.store.get_executions_by_id([execution_id])
        record_evaluation(handle.store, step, execution)
    states = metadata_store_pb2.Execution
    if execution.last_known_state not in (states.COMPLETE, states.CACHED):
        raise ArtifactError(
            f"the inputs of step '{step}' could not be resolved in ML Metadata",
            where=step,
            hint="see the log; run again without --from or --only",
        )
    return execution


def abandon(ir: bytes, graph: Graph, steps: Collection[str], reason: str) -> None:
    """Close the executions of steps whose process is gone, and remove what they left half-written."""
    from penstock.pipelines.runners.recovery import close_stale

    with _store(load(ir)) as handle:
        close_stale(handle, graph, reason, steps)


def load(ir: bytes) -> Any:
    """Parse an IR."""
    from tfx.proto.orchestration import pipeline_pb2

    return pipeline_pb2.Pipeline.FromString(ir)


def _store(pipeline: Any) -> Any:
    """Return the (not yet opened) handle on the pipeline's metadata store."""
    from tfx.orchestration import metadata
    from tfx.orchestration.local import runner_utils

    config = runner_utils.extract_local_deployment_config(pipeline).metadata_connection_config
    return metadata.Metadata(getattr(config, config.WhichOneof("connection_config")))


def launcher(pipeline: Any, step: str) -> Any:
    """Return TFX's launcher for one step of an IR."""
    from tfx.orchestration.local import runner_utils
    from tfx.orchestration.portable.launcher import Launcher

    deployment = runner_utils.extract_local_deployment_config(pipeline)
    (node,) = (n.pipeline_node for n in pipeline.nodes if n.pipeline_node.node_info.id == step)
    return Launcher(
        pipeline_node=node,
        mlmd_connection=_store(pipeline),
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, step),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, step),
    )


def _select(ir: Any, selection: Selection, handle: Any) -> frozenset[str]:
    """Mark the IR for a partial run and take over the outputs of the steps that it leaves out."""
    from tfx.orchestration.portable import partial_run_utils

    for node in ir.nodes:
        name = node.pipeline_node.node_info.id
        if not selection.cache or name in selection.named:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    if not selection.named:
        return frozenset()
    partial_run_utils.mark_pipeline(ir, from_nodes=selection.named, to_nodes=selection.only or None)
    try:
        partial_run_utils.snapshot(handle, ir)
    except LookupError as error:
        flag = "--only" if selection.only else "--from"
        raise ConfigError(
            f"{flag} needs the results of an earlier run, and there are none",
            received=str(error),
            hint="run the whole pipeline once, then again with this flag",
        ) from error
    skipped = [n.pipeline_node for n in ir.nodes if n.pipeline_node.execution_options.HasField("skip")]
    return frozenset(node.node_info.id for node in skipped)
