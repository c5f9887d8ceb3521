"""A model server without models: it speaks the contract's protocols over real sockets and does what a test wants."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np

from penstock.serving._tensors import from_proto, to_proto
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, entries_from_proto
from penstock.serving.models.state import State
from penstock.serving.protos import message

_METHODS = {
    "/tensorflow.serving.PredictionService/Predict": "PredictRequest",
    "/tensorflow.serving.PredictionService/Classify": "ClassificationRequest",
    "/tensorflow.serving.PredictionService/Regress": "RegressionRequest",
    "/tensorflow.serving.PredictionService/GetModelMetadata": "GetModelMetadataRequest",
    "/tensorflow.serving.ModelService/GetModelStatus": "GetModelStatusRequest",
    "/tensorflow.serving.ModelService/HandleReloadConfigRequest": "ReloadConfigRequest",
}


class FakeServer(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types.
    """Answers as TensorFlow Serving does; its one signature multiplies ``x`` by the version and echoes ``text``.

    Attributes:
        entries: The config that it was told last.
        configs: All that it was told.
        states: What status says of (model, version); versions in the config are AVAILABLE where it says nothing.
        failures: Method name → what it fails with, taken from the front, one a call.
        calls: The methods that were called.
    """

    def __init__(self, *entries: ModelEntry) -> None:
        self.entries: tuple[ModelEntry, ...] = entries
        self.configs: list[tuple[ModelEntry, ...]] = []
        self.states: dict[tuple[str, int], tuple[State, Code, str]] = {}
        self.failures: dict[str, list[ServingError]] = {}
        self.calls: list[str] = []
        self.refuse: Callable[[tuple[ModelEntry, ...]], str | None] = lambda entries: None

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if details.method not in _METHODS:
            return None

        def answer(request: Any, context: Any) -> Any:
            self.calls.append(name)
            try:
                if self.failures.get(name):
                    raise self.failures[name].pop(0)
                return getattr(self, f"_{name.lower()}")(request)
            except ServingError as error:
                context.abort(_status(error.code), error.message)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=message(f"tensorflow.serving.{_METHODS[details.method]}").FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )

    def _predict(self, request: Any) -> Any:
        reply = message("tensorflow.serving.PredictResponse")()
        version = self._version(request.model_spec)
        arrays = {name: from_proto(proto, name) for name, proto in request.inputs.items()}
        reply.outputs["y"].CopyFrom(to_proto(arrays["x"] * np.float32(version)))
        reply.outputs["text"].CopyFrom(to_proto(arrays["text"]))
        return reply

    def _classify(self, request: Any) -> Any:
        reply = message("tensorflow.serving.ClassificationResponse")()
        for example in _examples(request.input):
            classes = reply.result.classifications.add().classes
            classes.add(label="high", score=example.features.feature["x"].float_list.value[0])
        return reply

    def _regress(self, request: Any) -> Any:
        reply = message("tensorflow.serving.RegressionResponse")()
        for example in _examples(request.input):
            reply.result.regressions.add(value=example.features.feature["x"].float_list.value[0])
        return reply

    def _getmodelmetadata(self, request: Any) -> Any:
        signatures = message("tensorflow.serving.SignatureDefMap")()
        inputs = signatures.signature_def["serving_default"].inputs
        inputs["x"].dtype, inputs["text"].dtype = 1, 7
        reply = message("tensorflow.serving.GetModelMetadataResponse")()
        reply.model_spec.name = request.model_spec.name
        reply.model_spec.version.value = self._version(request.model_spec)
        reply.metadata["signature_def"].value = signatures.SerializeToString()
        return reply

    def _getmodelstatus(self, request: Any) -> Any:
        reply = message("tensorflow.serving.GetModelStatusResponse")()
        name = request.model_spec.name
        asked = request.model_spec.version.value if request.model_spec.HasField("version") else None
        for version in self._versions(name):
            if asked in (None, version):
                state, code, text = self.states.get((name, version), (State.AVAILABLE, Code.OK, ""))
                one = reply.model_version_status.add(version=version, state=state)
                one.status.error_code, one.status.error_message = code, text
        if not reply.model_version_status:
            what = f"any versions of model {name}" if asked is None else f"version {asked} of model {name}"
            raise ServingError(Code.NOT_FOUND, f"Could not find {what}")
        return reply

    def _handlereloadconfigrequest(self, request: Any) -> Any:
        from tensorflow_serving.config import model_server_config_pb2

        proto = model_server_config_pb2.ModelServerConfig.FromString(request.config.SerializeToString())
        entries = entries_from_proto(proto)
        if problem := self.refuse(entries):
            raise ServingError(Code.FAILED_PRECONDITION, problem)
        self.entries = entries
        self.configs.append(entries)
        return message("tensorflow.serving.ReloadConfigResponse")()

    def _versions(self, name: str) -> list[int]:
        found = [entry for entry in self.entries if entry.name == name]
        return sorted({version for entry in found for version in entry.policy.versions} or ({1} if found else set()))

    def _version(self, spec: Any) -> int:
        if spec.version_label:
            labels = next((entry.labels for entry in self.entries if entry.name == spec.name), {})
            if spec.version_label not in labels:
                raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}")
            return labels[spec.version_label]
        known = self._versions(spec.name)
        if not known:
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")
        return int(spec.version.value) or known[-1]

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on a free port; give its address."""
        server = grpc.server(futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers([self])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def _status(code: Code) -> Any:
    return next(status for status in grpc.StatusCode if status.value[0] == code)


def _examples(given: Any) -> Any:
    kind = given.WhichOneof("kind")
    return getattr(given, kind).examples


@contextmanager
def http_server(*answers: tuple[int, str]) -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """Give the URL of a server that answers in this order, and what it was asked: method, path and JSON body."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            asked.append((self.command, self.path, json.loads(body) if body else None))
            status, text = left.pop(0)
            if status == 0:  # Dies in the middle of a request.
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = _answer  # noqa: N815  http.server's names.

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def closing_server() -> Iterator[str]:
    """Give the address of a server that takes a connection, reads a little and ends it: it died mid-request."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                # HTTP/2's own settings, so that the client sends its request.
                connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
                received = b""
                while b"tensorflow" not in received and not stopped.is_set():
                    chunk = connection.recv(65536)
                    if not chunk:
                        break
                    received += chunk

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
