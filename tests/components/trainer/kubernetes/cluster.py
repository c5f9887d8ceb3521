"""A stand-in for a cluster's API on 127.0.0.1: training jobs, pods and their logs, as far as the Trainer asks."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.kubernetes_schemas import crd_problems

JOBS = re.compile(r"/apis/kubeflow\.org/v1/namespaces/([^/]+)/tfjobs(?:/([^/]+))?")
PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+)(/log)?)?")
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
Status = tuple[int, str]


@dataclass
class Pod:
    """One pod: what its status says, and its log."""

    kind: str
    index: int
    phase: str = "Running"
    state: dict[str, Any] = field(default_factory=lambda: {"running": {}})
    reason: str | None = None
    message: str | None = None
    conditions: list[dict[str, Any]] = field(default_factory=list)
    restarts: int = 0
    uid: str = ""
    lines: list[str] = field(default_factory=list)
    closed: bool = True

    def ended(self, code: int, reason: str | None = None) -> Pod:
        """Let the container end."""
        self.phase = "Succeeded" if code == 0 else "Failed"
        self.state = {"terminated": {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error")}}
        return self

    def waiting(self, reason: str, message: str) -> Pod:
        """Let the container wait."""
        self.phase, self.state = "Pending", {"waiting": {"reason": reason, "message": message}}
        return self

    def as_json(self, job: str) -> dict[str, Any]:
        """Return the pod as the API shows it."""
        name = f"{job}-{self.kind}-{self.index}"
        image = {"image": "i", "imageID": "i", "name": "tensorflow", "ready": True, "restartCount": self.restarts}
        return {
            "metadata": {
                "name": name,
                "uid": self.uid or name,
                "labels": {
                    "training.kubeflow.org/job-name": job,
                    "training.kubeflow.org/replica-type": self.kind,
                    "training.kubeflow.org/replica-index": str(self.index),
                },
            },
            "spec": {"containers": [{"name": "tensorflow", "image": "i"}]},
            "status": {
                "phase": self.phase,
                "reason": self.reason,
                "message": self.message,
                "conditions": self.conditions,
                "containerStatuses": [{**image, "state": self.state}],
            },
        }


Look = Callable[["FakeCluster"], None]


@dataclass
class FakeCluster:
    """What the stand-in shows, and what it was asked.

    Attributes:
        script: One entry a look at the job: what happens before the answer. The last one is repeated.
        broken: Path's beginning → the status and message that it is answered with.
        jobs: Jobs by name.
        pods: The pods of the job.
        calls: Method and path of each request, in order; logs are left out.
        silent: How many of the next requests get no answer.
    """

    script: list[Look] = field(default_factory=list)
    broken: dict[str, Status] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    looks: int = 0
    silent: int = 0
    own_pod: dict[str, Any] | None = None
    port: int = 0

    def condition(self, kind: str, message: str = "") -> None:
        """Give every job a condition that is true."""
        for job in self.jobs.values():
            conditions = job.setdefault("status", {}).setdefault("conditions", [])
            conditions.append({"type": kind, "status": "True", "message": message})

    def look(self) -> None:
        """Let happen what comes next."""
        if self.script:
            self.script[min(self.looks, len(self.script) - 1)](self)
        self.looks += 1

    def kubeconfig(self, folder: Path, *, namespace: str = "team-a", token: str = "secret-token") -> Path:
        """Write a config file as kubectl has it."""
        file = folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        }
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        return file


def serving(cluster: FakeCluster) -> Iterator[FakeCluster]:
    """Serve a cluster's API on a free port until the generator is closed."""
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    cluster.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    cluster: FakeCluster

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        cluster, path = self.cluster, urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not path.endswith("/log"):
            cluster.calls.append(f"{method} {path}")
            cluster.tokens.append(self.headers.get("Authorization"))
        if cluster.silent:
            cluster.silent = max(0, cluster.silent - 1)
            self.close_connection = True
            self.connection.close()
            return
        for begin, (status, message) in cluster.broken.items():
            whole = begin.startswith("GET /api/") and not begin.endswith("/")
            if f"{method} {path}" == begin or (not whole and f"{method} {path}".startswith(begin)):
                self._send(status, {"kind": "Status", "code": status, "message": message})
                return
        if job := JOBS.fullmatch(path):
            self._job(method, job[1], job[2], json.loads(body) if method == "POST" else {})
        elif pod := PODS.fullmatch(path):
            self._pod(pod[2], log=bool(pod[3]))
        else:
            self._send(404, {"message": "404 page not found"})

    def _job(self, method: str, namespace: str, name: str | None, body: dict[str, Any]) -> None:
        cluster = self.cluster
        if method == "POST":
            name = body["metadata"]["name"]
            if problems := crd_problems(body, "tfjobs"):
                self._send(422, {"message": f'TFJob.kubeflow.org "{name}" is invalid: {problems[0]}'})
            elif name in cluster.jobs:
                self._send(409, {"message": f'tfjobs.kubeflow.org "{name}" already exists'})
            else:
                assert body["metadata"]["namespace"] == namespace
                cluster.created.append(body)
                cluster.jobs[name] = {**body, "status": {}}
                self._send(201, body)
        elif name not in cluster.jobs:
            self._send(404, {"message": f'tfjobs.kubeflow.org "{name}" not found'})
        elif method == "DELETE":
            del cluster.jobs[name]
            self._send(200, {"kind": "Status", "status": "Success"})
        else:
            cluster.look()
            if name in cluster.jobs:
                self._send(200, cluster.jobs[name])
            else:
                self._send(404, {"message": f'tfjobs.kubeflow.org "{name}" not found'})

    def _pod(self, name: str | None, *, log: bool) -> None:
        cluster = self.cluster
        job = next(iter(cluster.jobs), "gone")
        shown = [pod.as_json(job) for pod in cluster.pods]
        if name is None:
            self._send(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": shown})
        elif log and (named := [pod for pod in cluster.pods if f"{job}-{pod.kind}-{pod.index}" == name]):
            self._log(named[0])
        elif cluster.own_pod is not None:
            self._send(200, cluster.own_pod)
        else:
            self._send(404, {"message": f'pods "{name}" not found'})

    def _log(self, pod: Pod) -> None:
        query = parse_qs(urlsplit(self.path).query)
        assert query["follow"] == ["True"]
        assert query["timestamps"] == ["True"]
        assert query["container"] == ["tensorflow"]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        sent = 0
        while True:
            closed = pod.closed
            for number, line in enumerate(pod.lines[sent:], sent):
                stamp = (_BEGAN + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S")
                self.wfile.write(f"{stamp}.{'5' if number % 2 else '25'}Z {line}\n".encode())
            sent = len(pod.lines)
            self.wfile.flush()
            if closed:
                return
            time.sleep(0.01)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
