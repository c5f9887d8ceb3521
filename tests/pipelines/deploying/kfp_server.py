"""A Kubeflow Pipelines server without a cluster: it answers as the published v2beta1 API does, and as a test wants.

Answers are made of the models of ``kfp_server_api``, which are generated from that API, and a request's body with a
field that they do not have is refused, as the real server refuses it.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import kfp_server_api
import yaml

HANG_UP = 0
"""As a status: end the connection in the middle of the request."""
_PREFIX = "/apis/v2beta1"
_GRPC = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}


@dataclass
class Frame:
    """What a run says of itself once: its state, and its tasks."""

    state: str
    tasks: list[Any] = field(default_factory=list)
    error: str | None = None


class RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = json.dumps(
            {"code": _GRPC[status], "message": message, "details": [{"@type": "type/Status", "message": message}]}
        )


@dataclass
class KfpServer:
    """The server's memory.

    Attributes:
        token: What it lets in; None for everybody.
        multi_user: Whether it wants a namespace.
        frames: What each run says, one a question; the last one is said again.
        answers: (part of the path, status, body): given instead, one a request to such a path, in this order.
        logs: Pod → log, as the pages hand it out.
        asked: Method, path with query, headers and body of each request.
    """

    token: str | None = None
    multi_user: bool = False
    frames: list[Frame] = field(default_factory=lambda: [Frame("SUCCEEDED")])
    answers: list[tuple[str, int, str]] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    pipelines: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    experiments: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    seen: int = 0

    def paths(self) -> list[str]:
        """Return method and path of each request, without its query."""
        return [f"{method} {urlsplit(path).path.removeprefix(_PREFIX)}" for method, path, _, _ in self.asked]

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, str]:
        """Return status, content type and body."""
        self.asked.append((method, path, headers, body))
        where = unquote(urlsplit(path).path)
        for number, (part, status, text) in enumerate(self.answers):
            if part in where:
                del self.answers[number]
                return status, "text/html" if text.startswith("<") else "application/json", text
        if where == "/k8s/pod/logs":
            pod = parse_qs(urlsplit(path).query)["podname"][0]
            return (200, "text/plain", self.logs[pod]) if pod in self.logs else (404, "text/plain", "pod not found")
        try:
            self._let_in(headers)
            query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
            found = self._route(method, where.removeprefix(_PREFIX), query, body)
        except RefusalError as refusal:
            return refusal.status, "application/json", refusal.body
        return 200, "application/json", json.dumps(kfp_server_api.ApiClient().sanitize_for_serialization(found))

    def _let_in(self, headers: dict[str, str]) -> None:
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            raise RefusalError(401, "Failed to check authorization. User identity is empty in the request header")

    def _route(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        for pattern, verb, handler in _ROUTES:
            if verb == method and (found := re.fullmatch(pattern, path)):
                return handler(self, query, body, *found.groups())
        raise RefusalError(404, "Not Found")

    def _healthz(self, query: Any, body: bytes) -> Any:
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=self.multi_user)

    def _list_pipelines(self, query: Any, body: bytes) -> Any:
        return kfp_server_api.V2beta1ListPipelinesResponse(pipelines=_filtered(self.pipelines, query) or None)

    def _create_pipeline(self, query: Any, body: bytes) -> Any:
        made = _model(body, "V2beta1Pipeline")
        made.pipeline_id = f"pipeline-{len(self.pipelines) + 1}"
        self.pipelines[made.pipeline_id] = made
        return made

    def _delete_pipeline(self, query: Any, body: bytes, pipeline: str) -> Any:
        del self.pipelines[pipeline]
        return {}

    def _list_versions(self, query: Any, body: bytes, pipeline: str) -> Any:
        mine = {key: one for key, one in self.versions.items() if one.pipeline_id == pipeline}
        return kfp_server_api.V2beta1ListPipelineVersionsResponse(pipeline_versions=_filtered(mine, query) or None)

    def _get_version(self, query: Any, body: bytes, pipeline: str, version: str) -> Any:
        return self.versions[version]

    def _upload_version(self, query: dict[str, str], body: bytes) -> Any:
        documents = list(yaml.safe_load_all(_uploaded(body)))
        spec = documents[0]
        if not spec.get("root", {}).get("dag", {}).get("tasks"):
            raise RefusalError(400, "Failed to create a pipeline version: invalid pipeline spec: root.dag has no tasks")
        made = kfp_server_api.V2beta1PipelineVersion(
            pipeline_id=query["pipelineid"],
            pipeline_version_id=f"version-{len(self.versions) + 1}",
            display_name=query["name"],
            description=query.get("description"),
            pipeline_spec=spec if len(documents) == 1 else {"pipeline_spec": spec, "platform_spec": documents[1]},
        )
        self.versions[made.pipeline_version_id] = made
        return made

    def _list_experiments(self, query: Any, body: bytes) -> Any:
        return kfp_server_api.V2beta1ListExperimentsResponse(experiments=_filtered(self.experiments, query) or None)

    def _create_experiment(self, query: Any, body: bytes) -> Any:
        made = _model(body, "V2beta1Experiment")
        if self.multi_user and not made.namespace:
            raise RefusalError(400, "Invalid input error: Experiment namespace is empty")
        made.experiment_id = f"experiment-{len(self.experiments) + 1}"
        self.experiments[made.experiment_id] = made
        return made

    def _list_runs(self, query: Any, body: bytes) -> Any:
        newest = dict(sorted(self.runs.items(), key=lambda item: item[1].created_at or "", reverse=True))
        return kfp_server_api.V2beta1ListRunsResponse(runs=_filtered(newest, query) or None)

    def _create_run(self, query: Any, body: bytes) -> Any:
        made = _model(body, "V2beta1Run")
        made.created_at = f"2026-11-30T12:{len(self.runs):02}:00Z"
        made.run_id, made.state = f"run-{len(self.runs) + 1}", "PENDING"
        self.runs[made.run_id] = made
        return made

    def _get_run(self, query: Any, body: bytes, run: str) -> Any:
        if run not in self.runs:
            raise RefusalError(404, f"Run {run} not found.")
        found = self.runs[run]
        frame = self.frames[min(self.seen, len(self.frames) - 1)]
        self.seen += 1
        found.state = frame.state
        found.run_details = kfp_server_api.V2beta1RunDetails(task_details=frame.tasks or None)
        found.error = kfp_server_api.GoogleRpcStatus(code=13, message=frame.error) if frame.error else None
        return found

    def _terminate(self, query: Any, body: bytes, run: str) -> Any:
        if run not in self.runs:
            raise RefusalError(404, f"Run {run} not found.")
        if self.runs[run].state in ("SUCCEEDED", "FAILED", "CANCELED"):
            raise RefusalError(400, f"Failed to terminate run {run}. Row not updated: it has ended")
        self.runs[run].state = "CANCELING"
        return {}

    def _list_schedules(self, query: Any, body: bytes) -> Any:
        return kfp_server_api.V2beta1ListRecurringRunsResponse(recurring_runs=list(self.schedules.values()) or None)

    def _create_schedule(self, query: Any, body: bytes) -> Any:
        made = _model(body, "V2beta1RecurringRun")
        made.recurring_run_id, made.status = f"schedule-{len(self.schedules) + 1}", "ENABLED"
        self.schedules[made.recurring_run_id] = made
        return made

    def _disable_schedule(self, query: Any, body: bytes, schedule: str) -> Any:
        self.schedules[schedule].status = "DISABLED"
        return {}

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on a free port of 127.0.0.1; give the URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


_ROUTES = (
    (r"/healthz", "GET", KfpServer._healthz),
    (r"/pipelines", "GET", KfpServer._list_pipelines),
    (r"/pipelines", "POST", KfpServer._create_pipeline),
    (r"/pipelines/upload_version", "POST", KfpServer._upload_version),
    (r"/pipelines/([^/]+)", "DELETE", KfpServer._delete_pipeline),
    (r"/pipelines/([^/]+)/versions", "GET", KfpServer._list_versions),
    (r"/pipelines/([^/]+)/versions/([^/]+)", "GET", KfpServer._get_version),
    (r"/experiments", "GET", KfpServer._list_experiments),
    (r"/experiments", "POST", KfpServer._create_experiment),
    (r"/runs", "GET", KfpServer._list_runs),
    (r"/runs", "POST", KfpServer._create_run),
    (r"/runs/([^/:]+)", "GET", KfpServer._get_run),
    (r"/runs/([^/:]+):terminate", "POST", KfpServer._terminate),
    (r"/recurringruns", "GET", KfpServer._list_schedules),
    (r"/recurringruns", "POST", KfpServer._create_schedule),
    (r"/recurringruns/([^/:]+):disable", "POST", KfpServer._disable_schedule),
)


def _handler(memory: KfpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            if headers.get("content-type", "").startswith("multipart/"):
                body = f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body
            status, kind, text = memory.answer(self.command, self.path, headers, body)
            if status == HANG_UP:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            self.send_header("Location" if status == 302 else "Content-Type", text if status == 302 else kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  http.server's names.

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler


def _uploaded(body: bytes) -> str:
    _, part = message_from_bytes(body).walk()
    return bytes(part.get_payload(decode=True)).decode()


def _filtered(items: dict[str, Any], query: dict[str, str]) -> list[Any]:
    wanted = {
        predicate["key"]: predicate["stringValue"]
        for predicate in json.loads(query.get("filter", '{"predicates": []}'))["predicates"]
    }
    found = [one for one in items.values() if all(getattr(one, key) == value for key, value in wanted.items())]
    return found[: int(query.get("page_size", "10"))]


def _model(body: bytes, name: str) -> Any:
    """Return the model of a request's body; unknown fields are refused, as the real server does."""
    data = json.loads(body)
    known = getattr(kfp_server_api, name).attribute_map
    if unknown := data.keys() - set(known.values()):
        raise RefusalError(400, f'unknown field "{min(unknown)}"')
    response = type("Response", (), {"data": body})()
    return kfp_server_api.ApiClient().deserialize(response, name)
