"""This process's place in a cluster that is already there: ``TF_CONFIG``, or ``CLUSTER_SPEC`` of Vertex AI.

Vertex AI sets ``TF_CONFIG`` for distributed jobs and ``CLUSTER_SPEC`` for all; its worker pools 0 to 3 are the chief,
workers, parameter servers and evaluators
(https://cloud.google.com/vertex-ai/docs/training/distributed-training). Evaluators are no part of the cluster in
``TF_CONFIG``: a task of that type need not be listed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import Repr
from typing import Any

from penstock.closest import did_you_mean
from penstock.components.trainer.cluster.topology import Cluster, Task, TaskType
from penstock.errors import EnvironmentProblem

# 'master' is an older name of the chief, which Vertex AI still uses.
_TF_CONFIG_TYPES: dict[str, TaskType] = {
    "chief": "chief",
    "master": "chief",
    "worker": "worker",
    "ps": "ps",
    "evaluator": "evaluator",
}
_VERTEX_POOLS: dict[str, TaskType] = {
    "workerpool0": "chief",
    "workerpool1": "worker",
    "workerpool2": "ps",
    "workerpool3": "evaluator",
}
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]):([0-9]{1,5})")
_REPR = Repr()
_REPR.maxstring = 200


def from_environment(environ: Mapping[str, str]) -> tuple[Cluster, Task] | None:
    """Return the cluster that this process was started in and its own task, or None where there is no cluster.

    ``TF_CONFIG`` comes before ``CLUSTER_SPEC``. A cluster of this task alone counts as none.

    Raises:
        EnvironmentProblem: The variable is no description of a cluster, or lacks this task.
    """
    found = _read(environ)
    if found is None:
        return None
    cluster, task = found
    return None if cluster.tasks == (task,) else (cluster, task)


def assigned_task(environ: Mapping[str, str]) -> tuple[Cluster, Task]:
    """Return the cluster and the task that Penstock's launcher started this process as.

    Raises:
        EnvironmentProblem: The process was started by something else.
    """
    found = _read(environ)
    if found is None:
        raise EnvironmentProblem(
            "this program is one task of a cluster, and TF_CONFIG does not say which",
            received="no TF_CONFIG",
            expected='{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}',
            hint="run the pipeline: Penstock starts the tasks",
        )
    return found


def vertex_folder(environ: Mapping[str, str], variable: str) -> Path | None:
    """Return the folder that Vertex AI wants something in: ``AIP_CHECKPOINT_DIR`` or ``AIP_TENSORBOARD_LOG_DIR``.

    Vertex AI mounts ``gs://bucket`` at ``/gcs/bucket`` (Cloud Storage FUSE) in the containers of its training jobs.
    """
    uri = environ.get(variable)
    return Path(uri.replace("gs://", "/gcs/", 1)) if uri else None


def _read(environ: Mapping[str, str]) -> tuple[Cluster, Task] | None:
    if environ.get("TF_CONFIG"):
        return _Description("TF_CONFIG", _TF_CONFIG_TYPES).read(environ["TF_CONFIG"])
    if environ.get("CLUSTER_SPEC"):
        return _Description("CLUSTER_SPEC", _VERTEX_POOLS).read(environ["CLUSTER_SPEC"])
    return None


@dataclass(frozen=True)
class _Description:
    """One of the variables, and what it calls the types of tasks."""

    variable: str
    types: Mapping[str, TaskType]

    def read(self, text: str) -> tuple[Cluster, Task] | None:
        """Return the cluster and the task, or None if no cluster is described."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._problem(f"is not JSON: {error}", _REPR.repr(text), "a JSON object") from error
        if not isinstance(data, dict):
            raise self._problem("is no JSON object", _REPR.repr(data), '{"cluster": {…}, "task": {…}}')
        cluster = self._cluster(data.get("cluster"))
        return (cluster, self._task(data.get("task"), cluster)) if cluster.addresses else None

    def _cluster(self, data: Any) -> Cluster:
        if not isinstance(data, dict | None):
            raise self._problem(
                "does not map types of tasks to addresses",
                _REPR.repr(data),
                f'{{"{self._worker}": ["host:port", …], …}}',
            )
        addresses: dict[TaskType, tuple[str, ...]] = {}
        for name, listed in (data or {}).items():
            kind = self._type(name)
            if listed not in (None, []):
                addresses[kind] = (*addresses.get(kind, ()), *self._addresses(name, listed))
        chiefs = addresses.get("chief", ())
        if len(chiefs) > 1:
            raise self._problem("has more than one chief", ", ".join(chiefs), "at most 1 chief")
        self._require_distinct(address for listed in addresses.values() for address in listed)
        return Cluster(addresses)

    def _type(self, name: Any) -> TaskType:
        if isinstance(name, str) and name in self.types:
            return self.types[name]
        raise self._problem(
            "has an unknown type of task",
            _REPR.repr(name),
            f"one of {', '.join(self.types)}",
            did_you_mean(name, self.types) if isinstance(name, str) else None,
        )

    def _addresses(self, name: str, listed: Any) -> tuple[str, ...]:
        if not isinstance(listed, list):
            raise self._problem(f"does not list the addresses of {name!r}", _REPR.repr(listed), '["host:port", …]')
        for address in listed:
            match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
            if match is None or not 0 < int(match[1]) < 2**16:
                raise self._problem(f"has a wrong address of {name!r}", _REPR.repr(address), "host:port")
        return tuple(listed)

    def _require_distinct(self, addresses: Iterable[str]) -> None:
        twice = [address for address, count in Counter(addresses).items() if count > 1]
        if twice:
            raise self._problem("gives several tasks one address", ", ".join(twice), "an address of its own for each")

    def _task(self, data: Any, cluster: Cluster) -> Task:
        if not isinstance(data, dict) or not {"type", "index"} <= data.keys():
            expected = f'"task": {{"type": "{self._worker}", "index": 0}}'
            raise self._problem("does not say which task this is", f'"task": {_REPR.repr(data)}', expected)
        kind, index = self._type(data["type"]), _index(data["index"])
        unlisted = kind == "evaluator" and kind not in cluster.addresses
        if index is None or not (unlisted or index < len(cluster.addresses.get(kind, ()))):
            received = f"type {data['type']}, index {_REPR.repr(data['index'])}"
            raise self._problem("lacks this task", received, f"one of {', '.join(map(str, cluster.tasks))}")
        return Task(kind, index)

    @property
    def _worker(self) -> str:
        return next(name for name, kind in self.types.items() if kind == "worker")

    def _problem(self, what: str, received: str, expected: str, hint: str | None = None) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"{self.variable} {what}",
            received=received,
            expected=expected,
            hint=hint or f"correct {self.variable}, or unset it: Penstock then starts the tasks on this machine",
        )


def _index(value: Any) -> int | None:
    """Return the index of a task, which TensorFlow takes as text too, or None if it is none."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
