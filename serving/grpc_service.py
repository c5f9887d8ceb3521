"""PredictionService and ModelService over gRPC, on an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from penstock.serving.errors import Code, ServingError
from penstock.serving.grpc_calls import Api, Calls, GrpcOptions, Threads, use
from penstock.serving.inference import classify, predict
from penstock.serving.inference.metadata import check_fields, metadata
from penstock.serving.metrics import Metrics
from penstock.serving.model_config import entries_from_proto

if TYPE_CHECKING:
    from penstock.serving.models.manager import ModelManager

__all__ = ["GrpcOptions", "GrpcServices"]

_LOG = logging.getLogger(__name__)
_LONGEST_MESSAGE = 1024
_HEALTH_SERVING = b"\x08\x01"
"""``HealthCheckResponse(status=SERVING)`` of ``grpc.health.v1``."""

_STATUS = {code.value[0]: code for code in grpc.StatusCode}
Method = Callable[[Any, Any], Awaitable[Any]]


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
        self._calls = Calls(manager, metrics, self._options)
        # A reload waits for models to load, as long as that takes; it must not take a thread from the requests, nor the
        # only one from a reload that would take it back.
        self._reloads = Threads(self._options.threads, "reload")

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
        self._calls.close()
        self._reloads.close()

    def _prediction_service(self) -> Mapping[str, Any]:
        from tensorflow_serving.apis import (
            classification_pb2,
            get_model_metadata_pb2,
            inference_pb2,
            predict_pb2,
            regression_pb2,
        )

        answer = partial(predict.predict, as_content=self._options.as_content)
        apis = {
            Api("Predict", answer, predict.unsent): predict_pb2.PredictRequest,
            Api("Classify", classify.classify, classify.unsent): classification_pb2.ClassificationRequest,
            Api("Regress", classify.regress, classify.unsent): regression_pb2.RegressionRequest,
        }
        return {
            **{api.name: _method(self._inference(api), request_type) for api, request_type in apis.items()},
            "MultiInference": _method(self._multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": _method(self._metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        }

    def _model_service(self) -> Mapping[str, Any]:
        from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

        return {
            "GetModelStatus": _method(self._status, get_model_status_pb2.GetModelStatusRequest),
            "HandleReloadConfigRequest": _method(self._reload, model_management_pb2.ReloadConfigRequest),
        }

    def _inference(self, api: Api) -> Method:
        """Return the method of an API whose requests have one ``model_spec``."""

        async def method(request: Any, context: Any) -> Any:
            start = perf_counter()
            code = Code.INTERNAL
            try:
                _require_spec(request)
                response = await self._calls.answer(api, request.model_spec, request, context)
                code = Code.OK
                return response
            except ServingError as error:
                code = error.code
                raise
            except asyncio.CancelledError:
                code = Code.CANCELLED
                raise
            finally:
                self._metrics.request(request.model_spec.name, api.name, "GRPC", perf_counter() - start, code)

        return method

    async def _multi_inference(self, request: Any, context: Any) -> Any:
        from tensorflow_serving.apis import model_pb2

        api = Api("MultiInference", classify.multi_inference, classify.unsent, may_be_fast=False)
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        response = await self._calls.answer(api, spec, request, context)
        sent = request.input
        self._metrics.examples(spec.name, len(getattr(sent, sent.WhichOneof("kind")).examples))
        return response

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
        await self._reloads.run(partial(self._manager.reload, entries))
        response = model_management_pb2.ReloadConfigResponse()
        response.status.error_code = int(Code.OK)
        for name, value in before.items():
            response.metric.add(name=name, int64_value_increase=self._metrics.counted(name) - value)
        return response


def _method(method: Method, request_type: Any) -> Any:
    """Return the handler of one method; errors become the status of the call."""

    async def handle(sent: bytes, context: Any) -> Any:
        try:
            return await method(_parsed(request_type, sent), context)
        except ServingError as error:
            await context.abort(_STATUS[int(error.code)], _shortened(error.message))
        except Exception as error:  # noqa: BLE001  Whatever a model raises, the caller gets a status and we a log.
            _LOG.exception("a %s failed", request_type.DESCRIPTOR.name)
            message = f"Internal error: {type(error).__name__}; see the server's log"
            await context.abort(grpc.StatusCode.INTERNAL, message)

    return grpc.unary_unary_rpc_method_handler(
        handle, response_serializer=lambda response: response.SerializeToString()
    )


def _parsed(request_type: Any, sent: bytes) -> Any:
    """Return a request. gRPC's own reading answers UNKNOWN to bytes that are none, and logs a traceback each time."""
    try:
        return request_type.FromString(sent)
    except DecodeError as error:
        name = request_type.DESCRIPTOR.full_name
        raise ServingError(Code.INVALID_ARGUMENT, f"Failed to parse {name}") from error


async def _healthy(_request: bytes, _context: Any) -> bytes:
    return _HEALTH_SERVING


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise ServingError(Code.INVALID_ARGUMENT, "Missing ModelSpec")


def _shortened(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "...TRUNCATED"
