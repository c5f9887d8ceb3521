"""What Kubeflow's training operator does with a job, with processes of this machine as pods."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from penstock.components.trainer.cluster.ports import free_addresses
from tests.components.trainer.kubernetes.cluster import FakeCluster, Pod

_NUMBERS = count()
RETRYABLE = 128


@dataclass
class Operator:
    """Starts a job's pods, with ``TF_CONFIG``, and keeps its conditions; ``look`` is a cluster's script.

    Attributes:
        environ: What all pods inherit.
        started: Each start of a task, in order.
    """

    environ: dict[str, str]
    started: list[str] = field(default_factory=list)
    _running: dict[tuple[str, int], tuple[Pod, subprocess.Popen[str]]] = field(default_factory=dict)
    _cluster_spec: dict[str, list[str]] = field(default_factory=dict)
    _readers: list[threading.Thread] = field(default_factory=list)
    _over: bool = False

    def look(self, cluster: FakeCluster) -> None:
        """Reconcile."""
        if self._over or not cluster.created:
            return
        replicas = cluster.created[-1]["spec"]["tfReplicaSpecs"]
        if not self._cluster_spec:
            self._lay_out(replicas)
            for kind, addresses in self._cluster_spec.items():
                for index in range(len(addresses)):
                    self._start(replicas, kind, index)
        for (kind, index), (pod, process) in list(self._running.items()):
            if not self._over and process.poll() is not None and "running" in pod.state:
                self._ended(cluster, replicas, kind, index)
        cluster.pods = [pod for pod, _ in self._running.values()]

    def end(self) -> None:
        """End what still runs."""
        for _, process in self._running.values():
            process.kill()
            process.wait()
        for reader in self._readers:
            reader.join(10)

    def _lay_out(self, replicas: dict[str, Any]) -> None:
        addresses = iter(free_addresses(sum(spec["replicas"] for spec in replicas.values())))
        for kind, spec in replicas.items():
            self._cluster_spec[kind.lower()] = [next(addresses) for _ in range(spec["replicas"])]

    def _start(self, replicas: dict[str, Any], kind: str, index: int) -> None:
        (spec,) = (spec for name, spec in replicas.items() if name.lower() == kind)
        (container,) = spec["template"]["spec"]["containers"]
        place = {"cluster": self._cluster_spec, "task": {"type": kind, "index": index}, "environment": "cloud"}
        process = subprocess.Popen(
            container["command"],
            env={
                **self.environ,
                **{item["name"]: item["value"] for item in container["env"]},
                **({"TF_CONFIG": json.dumps(place)} if len(self._all()) > 1 else {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        pod = Pod(kind, index, uid=f"uid-{next(_NUMBERS)}", closed=False)
        reader = threading.Thread(target=_read, args=(process, pod), daemon=True)
        reader.start()
        self._readers.append(reader)
        self._running[kind, index] = (pod, process)
        self.started.append(f"{kind} {index}")

    def _all(self) -> list[str]:
        return [address for addresses in self._cluster_spec.values() for address in addresses]

    def _ended(self, cluster: FakeCluster, replicas: dict[str, Any], kind: str, index: int) -> None:
        pod, process = self._running[kind, index]
        code = process.returncode if process.returncode >= 0 else RETRYABLE - process.returncode
        (policy,) = {spec["restartPolicy"] for spec in replicas.values()}
        if code >= RETRYABLE and policy == "ExitCode":
            self._start(replicas, kind, index)
            return
        pod.ended(code)
        if code:
            cluster.condition("Failed", f"1 {kind} replica(s) failed.")
        if kind == "chief" and code == 0:
            cluster.condition("Succeeded")
        if code or kind == "chief":
            self._over = True
            self.end()


def _read(process: subprocess.Popen[str], pod: Pod) -> None:
    with process.stdout or nullcontext(()) as lines:
        for line in lines:
            pod.lines.append(line.rstrip("\n"))
    pod.closed = True


def inherited(python_path: str) -> dict[str, str]:
    """Return what a pod's image would set."""
    path = os.pathsep.join([python_path, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "no_proxy": "127.0.0.1", "no_grpc_proxy": "127.0.0.1"}
