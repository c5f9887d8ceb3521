"""Lets processes write executions into one SQLite store at once: ``python -m benchmarks.metadata_writers``.

Each process writes as a step of ``penstock run`` does: an execution with an output artifact and two contexts. Counted
are writes that failed, executions that are missing afterwards, and how long a write took.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WRITERS = 8
EXECUTIONS = 1000


def _work(sqlite: Path, writer: int, count: int, answers: Any) -> None:
    """Write in a process of its own, and say in any case what came of it."""
    try:
        answers.put(_write(sqlite, writer, count))
    except Exception as error:  # noqa: BLE001  Whatever fails is counted.
        answers.put(([], [f"writer {writer}: {type(error).__name__}: {error}"]))


def _write(sqlite: Path, writer: int, count: int) -> tuple[list[float], list[str]]:
    from ml_metadata.proto import metadata_store_pb2 as pb

    from penstock.metadata.retrying import RetryingStore

    store = RetryingStore(_config(sqlite))
    kind = store.put_execution_type(pb.ExecutionType(name="step"))
    model = store.put_artifact_type(pb.ArtifactType(name="Model"))
    contexts = [
        pb.Context(type_id=store.put_context_type(pb.ContextType(name=name)), name=value)
        for name, value in (("pipeline", "digits"), ("pipeline_run", f"run-{writer}"))
    ]
    seconds: list[float] = []
    failed: list[str] = []
    for number in range(count):
        execution = pb.Execution(type_id=kind, name=f"{writer}-{number}", last_known_state=pb.Execution.COMPLETE)
        artifact = pb.Artifact(type_id=model, uri=f"/model/{writer}/{number}")
        event = pb.Event(type=pb.Event.OUTPUT)
        event.path.steps.add().key = "model"
        began = time.perf_counter()
        try:
            store.put_execution(execution, [(artifact, event)], contexts, reuse_context_if_already_exist=True)
        except Exception as error:  # noqa: BLE001  Whatever fails is counted.
            failed.append(f"{type(error).__name__}: {error}")
        seconds.append(time.perf_counter() - began)
    return seconds, failed


def _config(sqlite: Path) -> Any:
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(sqlite)
    return config


def measure(folder: Path, *, rounds: int = 1, writers: int = WRITERS, executions: int = EXECUTIONS) -> dict[str, Any]:
    """Return what became of the writes of the last round.

    Args:
        folder: An empty folder.
        rounds: How often to do it, each time with a new store.
        writers: Processes, a count.
        executions: Of each process, a count.
    """
    from ml_metadata.metadata_store import MetadataStore

    found: dict[str, Any] = {}
    context = multiprocessing.get_context("spawn")
    for number in range(rounds):
        sqlite = folder / f"{number}.sqlite"
        MetadataStore(_config(sqlite))
        answers = context.SimpleQueue()
        began = time.monotonic()
        processes = [
            context.Process(target=_work, args=(sqlite, writer, executions, answers)) for writer in range(writers)
        ]
        for process in processes:
            process.start()
        told = [answers.get() for _ in processes]
        for process in processes:
            process.join()
        wall = time.monotonic() - began
        seconds = sorted(one for times, _ in told for one in times)
        failed = [text for _, texts in told for text in texts]
        names = {execution.name for execution in MetadataStore(_config(sqlite)).get_executions()}
        wanted = {f"{writer}-{number}" for writer in range(writers) for number in range(executions)}
        found = {
            "writers": writers,
            "executions_each": executions,
            "failed": len(failed),
            "failures": sorted(set(failed))[:5],
            "lost": len(wanted - names),
            "median_ms": round(statistics.median(seconds) * 1e3, 1),
            "p99_ms": round(seconds[int(len(seconds) * 0.99)] * 1e3, 1),
            "worst_ms": round(seconds[-1] * 1e3, 1),
            "wall_seconds": round(wall, 1),
        }
    return found


def main() -> int:
    """Measure and print JSON; 1 if a write failed or was lost."""
    parser = argparse.ArgumentParser(description="Let processes write into one SQLite store.")
    parser.add_argument("--writers", type=int, default=WRITERS, help=f"processes, a count (default {WRITERS})")
    parser.add_argument("--executions", type=int, default=EXECUTIONS, help=f"of each (default {EXECUTIONS})")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = measure(Path(name), writers=arguments.writers, executions=arguments.executions)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(bool(report["failed"] or report["lost"]))


if __name__ == "__main__":
    sys.exit(main())
