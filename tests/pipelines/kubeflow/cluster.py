"""Runs a compiled pipeline as Kubeflow Pipelines does: its driver and its launcher, each container as a process.

Read from kubeflow/pipelines (``backend/src/v2``): how a driver resolves parameters and provides outputs, what a
launcher puts in the place of placeholders, copies in and out, merges and records. What is different here: a container
is a process on this machine, ``/minio`` lies in a folder of the pod's own that is gone afterwards, and tasks run one
after the other.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from ml_metadata.proto import metadata_store_pb2 as pb

from tests.pipelines.kubeflow.bucket import Bucket
from tests.pipelines.kubeflow.lineage import Lineage, runtime_artifact
from tests.preloaded import PRELOADED


@dataclass
class Run:
    """What became of a run: the state of each task, the log of each attempt, and its part of ML Metadata."""

    name: str
    lineage: Lineage
    states: dict[str, str] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(state in ("ran", "cached") for state in self.states.values())


class Cluster:
    """A cluster with a bucket, a metadata store and a cache, which outlive its runs.

    Args:
        folder: Where they are kept.
        project: The working directory of the image.
        secrets: Secret → key → value.
        anew: Tasks whose containers import everything themselves; the others are forked, see :mod:`tests.preloaded`.
    """

    def __init__(
        self,
        folder: Path,
        project: Path,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        anew: Collection[str] = (),
    ) -> None:
        self.bucket = Bucket(folder / "objects")
        self._metadata = folder / "metadata.sqlite"
        self._project = project
        self._secrets = secrets or {}
        self._anew = frozenset(anew)
        self._cache: dict[str, dict[str, pb.Artifact]] = {}

    def run(self, text: str, parameters: Mapping[str, Any] | None = None) -> Run:
        """Run a compiled pipeline with the values of its parameters."""
        spec, *rest = yaml.safe_load_all(text)
        name = f"run-{uuid.uuid4().hex[:8]}"
        run = Run(name, Lineage(self._metadata, spec["pipelineInfo"]["name"], name))
        given = {key: each["defaultValue"] for key, each in _parameters(spec["root"]).items()} | dict(parameters or {})
        _Dag(self, spec, rest[0] if rest else {}, run).run(spec["root"], _checked(_parameters(spec["root"]), given))
        return run


@dataclass
class _Dag:
    cluster: Cluster
    spec: dict[str, Any]
    platform: dict[str, Any]
    run_: Run

    def run(self, component: dict[str, Any], values: Mapping[str, Any]) -> bool:
        tasks = component["dag"]["tasks"]
        order = TopologicalSorter({name: task.get("dependentTasks", []) for name, task in tasks.items()})
        done: dict[str, bool] = {}
        for name in order.static_order():
            task, above = tasks[name], tasks[name].get("dependentTasks", [])
            at_the_end = task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
            if not at_the_end and not all(done[other] for other in above):
                self.run_.states[name] = "not run"
                done[name] = False
                continue
            inner = self.spec["components"][task["componentRef"]["name"]]
            given = _checked(_parameters(inner), self._values(task, values, done))
            done[name] = self.run(inner, given) if "dag" in inner else self._container(name, task, inner, given)
        return all(done.values())

    def _values(self, task: dict[str, Any], values: Mapping[str, Any], done: Mapping[str, bool]) -> dict[str, Any]:
        found = {}
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            if "runtimeValue" in source:
                found[name] = source["runtimeValue"]["constant"]
            elif "componentInputParameter" in source:
                found[name] = values[source["componentInputParameter"]]
            else:
                producer = source["taskFinalStatus"]["producerTask"]
                found[name] = {"state": "SUCCEEDED" if done[producer] else "FAILED", "pipelineTaskName": producer}
                found[name] |= {} if done[producer] else {"error": {"message": "a task failed", "code": 13}}
        return found

    def _container(self, name: str, task: dict[str, Any], component: dict[str, Any], values: dict[str, Any]) -> bool:
        container = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        inputs = {
            key: self.run_.lineage.artifacts(source["taskOutputArtifact"]["producerTask"])[
                source["taskOutputArtifact"]["outputArtifactKey"]
            ]
            for key, source in task.get("inputs", {}).get("artifacts", {}).items()
        }
        execution = self.run_.lineage.start(name, values, inputs)
        key = json.dumps([container, values, {name: found.id for name, found in inputs.items()}], sort_keys=True)
        caching = task["cachingOptions"].get("enableCache", False)
        if caching and key in self.cluster._cache:
            self.run_.lineage.end(execution, pb.Execution.CACHED, self.cluster._cache[key])
            self.run_.states[name] = "cached"
            return True
        attempts = 1 + task.get("retryPolicy", {}).get("maxRetryCount", 0)
        for _ in range(attempts):
            outputs = self._attempt(name, component, container, values, inputs)
            if outputs is not None:
                self.run_.lineage.end(execution, pb.Execution.COMPLETE, outputs)
                self.run_.states[name] = "ran"
                self.cluster._cache |= {key: outputs} if caching else {}
                return True
        self.run_.lineage.end(execution, pb.Execution.FAILED, {})
        self.run_.states[name] = "failed"
        return False

    def _attempt(
        self,
        name: str,
        component: dict[str, Any],
        container: dict[str, Any],
        values: dict[str, Any],
        inputs: Mapping[str, pb.Artifact],
    ) -> dict[str, pb.Artifact] | None:
        """Run one pod and return what it recorded; None when it failed."""
        root = f"{self.spec['defaultPipelineRoot']}/{self.run_.name}/{name}/{uuid.uuid4()}"
        with TemporaryDirectory(prefix="pod-") as pod:
            outputs = {
                key: {"name": key, "uri": f"{root}/{key}", "type": each["artifactType"]}
                for key, each in component.get("outputDefinitions", {}).get("artifacts", {}).items()
            }
            executor_input: dict[str, Any] = {
                "inputs": {
                    "parameterValues": values,
                    "artifacts": {key: {"artifacts": [runtime_artifact(found)]} for key, found in inputs.items()},
                },
                "outputs": {
                    "artifacts": {key: {"artifacts": [each]} for key, each in outputs.items()},
                    "outputFile": f"{_local(pod, root)}/output_metadata.json",
                },
            }
            for found in inputs.values():
                self.cluster.bucket.download(_local(pod, found.uri), _key(found.uri))
            for each in outputs.values():
                _local(pod, each["uri"]).parent.mkdir(parents=True, exist_ok=True)
            if not self._process(name, component, container, executor_input, pod):
                return None
            file = Path(f"{_local(pod, root)}/output_metadata.json")
            told = json.loads(file.read_text()) if file.exists() else {}
            for key, each in outputs.items():
                for returned in told.get("artifacts", {}).get(key, {}).get("artifacts", [])[:1]:
                    each["uri"] = returned.get("uri", each["uri"])
                    each.setdefault("metadata", {}).update(returned.get("metadata", {}))
                if _local(pod, each["uri"]).exists():
                    self.cluster.bucket.upload(_local(pod, each["uri"]), _key(each["uri"]))
            return {key: self.run_.lineage.artifact(key, each) for key, each in outputs.items()}

    def _process(
        self, name: str, component: dict[str, Any], container: dict[str, Any], executor_input: Any, pod: str
    ) -> bool:
        declared = {each["name"]: each["value"] for each in container.get("env", [])}
        declared |= dict(self._secrets(component["executorLabel"]))
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "1", "HOME": pod, "PATH": path, **declared}
        words = [_filled(word, executor_input, pod) for word in (*container["command"], *container["args"])]
        words = [re.sub(r"\$\((\w+)\)", lambda found: declared.get(found[1], found[0]), word) for word in words]
        assert max(map(len, words)) < 1 << 17, "Linux takes no longer argument"
        here = self.cluster._project
        if name not in self.cluster._anew:
            shell, option, script, *arguments = words
            module = re.search(r'; exec python -m (\S+) "\$0" "\$@"$', script)
            assert module, (shell, option, script)
            ended = PRELOADED.run(module[1], *arguments, cwd=here, environment=environment)
        else:
            ended = subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True, check=False)
        self.run_.logs.setdefault(name, []).append(ended.stdout + ended.stderr)
        return ended.returncode == 0

    def _secrets(self, executor: str) -> Iterator[tuple[str, str]]:
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
        for each in kubernetes.get("executors", {}).get(executor, {}).get("secretAsEnv", []):
            for pair in each["keyToEnv"]:
                yield pair["envVar"], self.cluster._secrets[each["secretName"]][pair["secretKey"]]


def _parameters(component: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = component.get("inputDefinitions", {}).get("parameters", {})
    return found


def _checked(specs: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as a driver passes them on: every number a float, every type as declared."""
    kinds = {"STRING": str, "BOOLEAN": bool, "LIST": list, "STRUCT": dict, "TASK_FINAL_STATUS": dict}
    for name, spec in specs.items():
        kind = kinds.get(spec["parameterType"], (int, float))
        assert isinstance(values[name], kind), f"input parameter {name!r} type mismatch"
    numbers = {name: float(each) for name, each in values.items() if isinstance(each, int) and each is not bool(each)}
    return {**values, **numbers}


def _local(pod: str, uri: str) -> Path:
    """Return the launcher's path of a URI: ``minio://b/k`` is ``/minio/b/k``."""
    scheme, _, rest = uri.partition("://")
    return Path(pod, {"gs": "gcs"}.get(scheme, scheme), rest)


def _key(uri: str) -> str:
    return uri.partition("://")[2]


def _filled(word: str, executor_input: Any, pod: str) -> str:
    """Put the launcher's values in the place of the placeholders."""
    word = word.replace("{{$}}", json.dumps(executor_input))
    for side in ("inputs", "outputs"):
        for name, each in executor_input[side]["artifacts"].items():
            uri = each["artifacts"][0]["uri"]
            word = word.replace(f"{{{{$.{side}.artifacts['{name}'].uri}}}}", uri)
            word = word.replace(f"{{{{$.{side}.artifacts['{name}'].path}}}}", str(_local(pod, uri)))
    return word
