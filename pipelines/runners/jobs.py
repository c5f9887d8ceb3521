"""What the worker processes do. Each function runs in a process of its own, with TFX imported."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from penstock.errors import ArtifactError, ConfigError
from penstock.metadata.owners import LEFT_BEHIND, Owner
from penstock.metadata.server import Server
from penstock.pipelines.config import Document, Loaded
from penstock.pipelines.graph import Graph
from penstock.pipelines.resolve import resolve
from penstock.pipelines.runners.facts import record_evaluation, record_run
from penstock.pipelines.runners.lock import working
from penstock.pipelines.runners.reasons import reason_of
from penstock.pipelines.runners.translate import translate
from penstock.recording import recording

State = Literal["ran", "cached", "failed", "not run", "reused", "interrupted"]


@dataclass(frozen=True)
class Selection:
    """Which steps of a pipeline to run.

    Attributes:
        only: Run these alone; empty for all.
        start: Run this step and all that depend on it; None for all.
        anew: Steps that use no earlier result.
    """

    only: tuple[str, ...] = ()
    start: str | None = None
    anew: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """The steps that the user asked for by name."""
        return (*self.only, *([self.start] if self.start else []))


@dataclass(frozen=True)
class Ended:
    """What became of a step that ended well: how, and the seconds of wall time that it took."""

    state: State
    seconds: float


@dataclass(frozen=True)
class Prepared:
    """A pipeline ready to run: the graph with every component imported, and the IR for one run.

    Attributes:
        ended: The steps that need not run, since they and all before them have an earlier result.
    """

    graph: Graph
    ir: bytes
    ended: Mapping[str, Ended] = field(default_factory=dict)


def prepare(loaded: Loaded, selection: Selection, run_id: str, ir_file: Path, owner: Owner) -> Prepared:
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
    with working(owner), store_of(ir, owner) as handle:
        close_stale(handle.store, owner, LEFT_BEHIND)
        record_run(handle.store, loaded, graph, run_id)
        reused = _select(ir, selection, handle)
        ended = {name: Ended("reused", 0.0) for name in reused} | _take(ir, graph, handle, reused)
    ir_file.write_text(text_format.MessageToString(ir), encoding="utf-8")
    return Prepared(graph, ir.SerializeToString(), ended)


def _take(ir: Any, graph: Graph, handle: Any, reused: Collection[str]) -> dict[str, Ended]:
    """End each step that need not run, from the first on, until one must; return how each ended."""
    ended: dict[str, Ended] = {}
    for name, step in graph.steps.items():
        if name in reused or not step.upstream <= ended.keys() | reused:
            continue
        try:
            found = _without_running(ir, name, handle)
        except Exception:  # What it raises here it raises again in its own process, where it is told as the step's.
            logging.getLogger(__name__).exception("step %s has to run to tell what is wrong", name)
            continue
        if found is not None:
            ended[name] = found
    return ended


def _without_running(ir: Any, step: str, handle: Any) -> Ended | None:
    """Record a step that looks something up, or that has an earlier result; None for one that must run."""
    started, launches = time.monotonic(), launcher(ir, step, handle)
    if launches.looks_up:
        _recorded(handle, step, launches.launch())
        return Ended("ran", time.monotonic() - started)
    return Ended("cached", time.monotonic() - started) if launches.from_cache() is not None else None


def run_step(ir: bytes, step: str, owner: Owner, document: Document) -> Ended:
    """Run one step through TFX's launcher.

    Args:
        ir: The run.
        step: The step.
        owner: The run, as it signs.
        document: The config; its values from the environment stay out of the reason of a failure.

    Raises:
        Exception: Whatever the step raised.
    """
    from ml_metadata.proto import metadata_store_pb2

    from penstock.pipelines.engines.tfx_package import packed_where_needed

    started = time.monotonic()
    pipeline = load(ir)
    handle = store_of(pipeline, owner)
    with working(owner):
        with recording(), packed_where_needed():
            launches = launcher(pipeline, step, handle)
            launches.tell = lambda raised: reason_of(translate(raised), step, document)
            execution = _recorded(handle, step, launches.launch())
        cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
        return Ended("cached" if cached and not launches.looks_up else "ran", time.monotonic() - started)


def _recorded(handle: Any, step: str, info: Any) -> Any:
    """Return the execution that the launcher recorded.

    Raises:
        ArtifactError: The step was not run, though the launcher says nothing of it.
    """
    from ml_metadata.proto import metadata_store_pb2

    execution_id = getattr(info, "execution_id", None)
    if execution_id is None:
        raise ArtifactError(f"step '{step}' was skipped: an input that it needs does not exist", where=step)
    with handle:
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


def abandon(ir: bytes, owner: Owner, reasons: Mapping[str, str]) -> None:
    """Record why steps failed; what they left RUNNING is closed, and what they left half-written removed.

    Args:
        ir: The run.
        owner: The run that started them.
        reasons: Step → why, one line.
    """
    from penstock.pipelines.runners import recovery

    pipeline = load(ir)
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    with working(owner), store_of(pipeline, owner) as handle:
        recovery.abandon(handle.store, owner, run_id, reasons)


def load(ir: bytes) -> Any:
    """Parse an IR."""
    from tfx.proto.orchestration import pipeline_pb2

    return pipeline_pb2.Pipeline.FromString(ir)


def store_of(pipeline: Any, owner: Owner) -> Any:
    """Return the (not yet opened) handle on the pipeline's metadata store; what it writes is signed by ``owner``."""
    from tfx.orchestration.local import runner_utils

    from penstock.pipelines.runners.handle import Handle

    declared = runner_utils.extract_local_deployment_config(pipeline).metadata_connection_config
    config = getattr(declared, declared.WhichOneof("connection_config"))
    return Handle(Server.of(config) or config, owner)


def launcher(pipeline: Any, step: str, handle: Any) -> Any:
    """Return the launcher for one step of an IR; ``handle`` is TFX's on the store."""
    from tfx.orchestration.local import runner_utils

    from penstock.pipelines.runners.launch import StepLauncher

    deployment = runner_utils.extract_local_deployment_config(pipeline)
    (node,) = (n.pipeline_node for n in pipeline.nodes if n.pipeline_node.node_info.id == step)
    return StepLauncher(
        pipeline_node=node,
        mlmd_connection=handle,
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
        if name in selection.anew or name in selection.named:
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
