"""PredictionService and ModelService over gRPC, on an event loop.

Measured with a native client on two cores: Python's synchronous gRPC server hands every call to another thread and
back, which costs more than a small model takes to answer. So a request whose model has been fast is answered on the
event loop itself; a slow one, a large one and any through a batch scheduler goes to a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.classify import classify, multi_inference, regress
from penstock.serving.inference.metadata import check_fields, metadata
from penstock.serving.inference.model import Model
from penstock.serving.inference.predict import predict
from penstock.serving.metrics import Metrics, Timed
from penstock.serving.model_config import entries_from_proto

if TYPE_CHECKING:
    from penstock.serving.models.manager import ModelManager

_LOG = logging.getLogger(__name__)
_LONGEST_MESSAGE = 1024
_FAST_SECONDS = 0.001
"""A model that answers within this is called on the event loop: about what handing it to a thread can cost there."""
_REMEMBERED = 0.5
"""Part of a slow call's time that the next call remembers: a model that stumbled once is soon on the loop again."""
_LARGE_BYTES = 1 << 16
_HEALTH_SERVING = b"\x08\x01"
"""``HealthCheckResponse(status=SERVING)`` of ``grpc.health.v1``."""

_STATUS = {code.value[0]: code for code in grpc.StatusCode}
Method = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True)
class GrpcOptions:
    """How the gRPC services answer.

    Args:
        threads: Requests of slow models that are computed at the same time.
        as_content: Send outputs as ``tensor_content`` instead of the typed fields, which is faster for large ones.
        always_in_threads: Call no model on the event loop; for models behind a batch scheduler, which wait.
    """

    threads: int = 64
    as_content: bool = False
    always_in_threads: bool = False


class GrpcServices:
    """The two services; :meth:`handlers` is what a ``grpc.aio`` server takes.

    Args:
        manager: Has the models.
        metrics: Counts the requests.
        options: How to answer.
    """

    def __init__(self, manager: ModelManager, metrics: Metrics, options: GrpcOptions | None = None) -> None:
        self._manager = manager
        self._metrics = metrics
        self._options = options or GrpcOptions()
        self._pool = ThreadPoolExecutor(self._options.threads, thread_name_prefix="grpc")
        # A reload waits for models to load, as long as that takes; it must not take a thread from the requests.
        self._reloads = ThreadPoolExecutor(1, thread_name_prefix="reload")
        self._pace = _Pace()

    def handlers(self) -> list[Any]:
        """Return the generic handlers of PredictionService, ModelService and the health check."""
        health = grpc.unary_unary_rpc_method_handler(_healthy)
        return [
            grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", self._prediction_service()),
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", self._model_service()),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": health}),
        ]

    def close(self) -> None:
        """Let go of the threads, once the server has stopped; it has waited for requests as long as it was to."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._reloads.shutdown(wait=False, cancel_futures=True)

    def _prediction_service(self) -> Mapping[str, Any]:
        from tensorflow_serving.apis import (
            classification_pb2,
            get_model_metadata_pb2,
            inference_pb2,
            predict_pb2,
            regression_pb2,
        )

        as_content = self._options.as_content
        return {
            "Predict": _method(
                self._inference("Predict", lambda model, request: predict(model, request, as_content=as_content)),
                predict_pb2.PredictRequest,
            ),
            "Classify": _method(self._inference("Classify", classify), classification_pb2.ClassificationRequest),
            "Regress": _method(self._inference("Regress", regress), regression_pb2.RegressionRequest),
            "MultiInference": _method(self._multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": _method(self._metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        }

    def _model_service(self) -> Mapping[str, Any]:
        from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

        return {
            "GetModelStatus": _method(self._status, get_model_status_pb2.GetModelStatusRequest),
            "HandleReloadConfigRequest": _method(self._reload, model_management_pb2.ReloadConfigRequest),
        }

    def _inference(self, api: str, answer: Callable[[Model, Any], Any]) -> Method:
        """Return the method of an API whose requests have one ``model_spec``."""

        async def method(request: Any, context: Any) -> Any:
            start = perf_counter()
            code = Code.INTERNAL
            try:
                _require_spec(request)
                response = await self._answer(api, request.model_spec, request, answer, context)
                code = Code.OK
                return response
            except ServingError as error:
                code = error.code
                raise
            except asyncio.CancelledError:
                code = Code.CANCELLED
                raise
            finally:
                self._metrics.request(request.model_spec.name, api, "GRPC", perf_counter() - start, code)

        return method

    async def _multi_inference(self, request: Any, context: Any) -> Any:
        from tensorflow_serving.apis import model_pb2

        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        response = await self._answer("MultiInference", spec, request, multi_inference, context)
        sent = request.input
        self._metrics.examples(spec.name, len(getattr(sent, sent.WhichOneof("kind")).examples))
        return response

    async def _answer(
        self, api: str, spec: Any, request: Any, answer: Callable[[Model, Any], Any], context: Any
    ) -> Any:
        def work() -> Any:
            if context.time_remaining() == 0:
                # It waited for a thread until its deadline passed: nobody is there to take the answer.
                raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline exceeded before the request was run")
            with use(self._manager, spec) as servable:
                timed = Timed(servable)
                try:
                    return answer(timed, request)
                finally:
                    self._pace.record(spec.name, timed.seconds)
                    self._metrics.runtime(spec.name, api, timed.seconds)

        if not self._options.always_in_threads and self._pace.is_fast(spec.name, request):
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _metadata(self, request: Any, _context: Any) -> Any:
        _require_spec(request)
        check_fields(list(request.metadata_field))
        with use(self._manager, request.model_spec) as servable:
            return metadata(servable)

    async def _status(self, request: Any, _context: Any) -> Any:
        from tensorflow_serving.apis import get_model_status_pb2

        _require_spec(request)
        spec = request.model_spec
        version = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._manager.status(spec.name, version):
            added = response.model_version_status.add(version=status.version, state=int(status.state))
            added.status.error_code = int(status.code)
            added.status.error_message = status.message
        return response

    async def _reload(self, request: Any, _context: Any) -> Any:
        from tensorflow_serving.apis import model_management_pb2

        before = {name: self._metrics.counted(name) for name in request.metric_names}
        if request.config.WhichOneof("config") != "model_config_list":
            raise ServingError(
                Code.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported",
            )
        entries = entries_from_proto(request.config)
        await asyncio.get_running_loop().run_in_executor(self._reloads, self._manager.reload, entries)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.error_code = int(Code.OK)
        for name, value in before.items():
            response.metric.add(name=name, int64_value_increase=self._metrics.counted(name) - value)
        return response


def use(manager: ModelManager, spec: Any) -> Any:
    """Return the context in which the version that a ``ModelSpec`` chooses may be used.

    Raises:
        ServingError: It has no name, or there is no such version.
    """
    if not spec.name:
        raise ServingError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        return manager.use(spec.name, version=spec.version.value)
    if choice == "version_label":
        return manager.use(spec.name, label=spec.version_label)
    return manager.use(spec.name)


class _Pace:
    """Which models are fast enough for the event loop: by the slowest of their last calls, slowly forgotten."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def is_fast(self, model: str, request: Any) -> bool:
        # A model that was never called is not: its first call may compile, allocate and take seconds.
        return self._seconds.get(model, 1.0) < _FAST_SECONDS and request.ByteSize() < _LARGE_BYTES

    def record(self, model: str, seconds: float) -> None:
        if seconds:
            known = self._seconds.get(model)
            self._seconds[model] = seconds if known is None else max(seconds, known * _REMEMBERED)


def _method(method: Method, request_type: Any) -> Any:
    """Return the handler of one method; errors become the status of the call."""

    async def handle(request: Any, context: Any) -> Any:
        try:
            return await method(request, context)
        except ServingError as error:
            await context.abort(_STATUS[int(error.code)], _shortened(error.message))
        except Exception as error:  # noqa: BLE001  Whatever a model raises, the caller gets a status and we a log.
            _LOG.exception("a request failed")
            await context.abort(grpc.StatusCode.INTERNAL, _shortened(f"{type(error).__name__}: {error}"))

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=request_type.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


async def _healthy(_request: bytes, _context: Any) -> bytes:
    return _HEALTH_SERVING


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise ServingError(Code.INVALID_ARGUMENT, "Missing ModelSpec")


def _shortened(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "...TRUNCATED"
