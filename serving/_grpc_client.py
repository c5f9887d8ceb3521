"""The gRPC half of the client."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from penstock.errors import ConfigError, PenstockError
from penstock.serving import _rows
from penstock.serving._tensors import from_proto, input_type, to_example, to_proto
from penstock.serving._transport import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_RETRIES,
    Target,
    broken,
    is_loopback,
    odd,
    timed_out,
    unreachable,
)
from penstock.serving.errors import Code, ServingError
from penstock.serving.models.state import State, VersionStatus
from penstock.serving.protos import message

if TYPE_CHECKING:
    from penstock.serving.model_config import ModelEntry

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
_DEFAULT_SIGNATURE = "serving_default"
_NO_GRPC = ("Failed parsing HTTP/2", "Trying to connect an http1.x server")
_NOT_CONNECTED = ("failed to connect", "DNS resolution failed", "Name resolution", "errors resolving")
_CONNECTION_ENDED = ("Socket closed", "Connection reset", "GOAWAY", "Broken pipe", "recvmsg", "Stream removed")


class GrpcTransport:
    """Speaks to a server over gRPC.

    Args:
        address: ``host:port``.
        timeout: Seconds that one method may take: its calls together, with their retries.
        retries: How often a call is tried again.
    """

    def __init__(self, address: str, timeout: float, retries: int) -> None:
        self._address = address
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address, options=_options(_host(address), retries))
        self._calls: dict[str, Any] = {}
        self._types: dict[Target, dict[str, str]] = {}

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def predict(self, target: Target, *, instances: Sequence[Any] | None, inputs: Any) -> Any:
        """Return the predictions of rows, or the outputs for columns."""
        deadline = self._deadline()
        if _typed(inputs):
            return _rows.named_outputs(self._predict_arrays(target, inputs, deadline))
        known = target in self._types
        try:
            outputs = self._predict_plain(target, instances, inputs, deadline)
        except (ServingError, ConfigError):
            before = self._types.pop(target, {})
            if not known or self._input_types(target, deadline) == before:
                raise
            # The newest version, or the one that the label names, is another by now.
            outputs = self._predict_plain(target, instances, inputs, deadline)
        return _rows.named_outputs(outputs) if instances is None else _rows.predictions(outputs)

    def predict_arrays(self, target: Target, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs for arrays, as arrays; no other type than theirs is looked up."""
        return self._predict_arrays(target, inputs, self._deadline())

    def classify(self, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> Any:
        """Return a list of ``[class, score]`` for each example."""
        answer = self._ask_examples("Classif", target, examples, context)
        return [[[c.label, _decimal(c.score)] for c in one.classes] for one in answer.result.classifications]

    def regress(self, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> Any:
        """Return the value of each example."""
        answer = self._ask_examples("Regress", target, examples, context)
        return [_decimal(one.value) for one in answer.result.regressions]

    def status(self, target: Target) -> list[VersionStatus]:
        """Return the states of a model's versions, newest first."""
        request = message("tensorflow.serving.GetModelStatusRequest")()
        _fill_spec(request.model_spec, target)
        answer = self._call(_MODEL + "GetModelStatus", request, "GetModelStatusResponse", self._deadline())
        try:
            found = [
                VersionStatus(one.version, State(one.state), Code(one.status.error_code), one.status.error_message)
                for one in answer.model_version_status
            ]
        except ValueError as error:
            raise odd(self._address, str(error), "a state and a code of the protocol") from error
        return sorted(found, key=lambda status: -status.version)

    def metadata(self, target: Target) -> Any:
        """Return the signatures in the shape of the REST API."""
        answer, signatures = self._metadata(target, self._deadline())
        spec = {
            "name": answer.model_spec.name,
            "signature_name": answer.model_spec.signature_name,
            "version": str(answer.model_spec.version.value),
        }
        plain = json_format.MessageToDict(
            signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return {"model_spec": spec, "metadata": {"signature_def": plain}}

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the server's whole config."""
        from penstock.serving.model_config import entries_to_proto

        request = message("tensorflow.serving.ReloadConfigRequest")()
        request.config.ParseFromString(entries_to_proto(entries).SerializeToString())
        answer = self._call(_MODEL + "HandleReloadConfigRequest", request, "ReloadConfigResponse", self._deadline())
        if answer.status.error_code:
            raise ServingError(_code(answer.status.error_code), answer.status.error_message)

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout

    def _predict_plain(
        self, target: Target, instances: Sequence[Any] | None, inputs: Any, deadline: float
    ) -> dict[str, Any]:
        types = self._input_types(target, deadline)
        rows = instances is not None
        arrays = _rows.columns_of_rows(instances or (), types) if rows else _rows.columns(inputs, types)
        return self._predict_arrays(target, arrays, deadline)

    def _predict_arrays(self, target: Target, inputs: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        request = message("tensorflow.serving.PredictRequest")()
        _fill_spec(request.model_spec, target)
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(to_proto(array))
        answer = self._call(_PREDICTION + "Predict", request, "PredictResponse", deadline)
        try:
            return {name: from_proto(proto, name) for name, proto in answer.outputs.items()}
        except ValueError as error:
            raise odd(self._address, str(error), "tensors of types that this client knows") from error

    def _input_types(self, target: Target, deadline: float) -> dict[str, str]:
        """Return the type of each input of the signature, asked once a target."""
        if target not in self._types:
            _, signatures = self._metadata(target, deadline)
            name = target.signature or _DEFAULT_SIGNATURE
            if name not in signatures.signature_def:
                raise ServingError(
                    Code.FAILED_PRECONDITION, f'Serving signature name: "{name}" not found in signature def'
                )
            inputs = signatures.signature_def[name].inputs
            self._types[target] = {key: input_type(info.dtype, key) for key, info in inputs.items()}
        return self._types[target]

    def _metadata(self, target: Target, deadline: float) -> tuple[Any, Any]:
        """Return the answer about a version, and the signatures in it."""
        request = message("tensorflow.serving.GetModelMetadataRequest")(metadata_field=["signature_def"])
        _fill_spec(request.model_spec, target)
        answer = self._call(_PREDICTION + "GetModelMetadata", request, "GetModelMetadataResponse", deadline)
        try:
            return answer, message("tensorflow.serving.SignatureDefMap").FromString(
                answer.metadata["signature_def"].value
            )
        except DecodeError as error:
            raise odd(self._address, str(error), "a SignatureDefMap") from error

    def _ask_examples(
        self, verb: str, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None
    ) -> Any:
        kind = "Classification" if verb == "Classif" else "Regression"
        request = message(f"tensorflow.serving.{kind}Request")()
        _fill_spec(request.model_spec, target)
        found = [to_example(features) for features in examples]
        if context is None:
            request.input.example_list.examples.extend(found)
        else:
            request.input.example_list_with_context.context.CopyFrom(to_example(context))
            request.input.example_list_with_context.examples.extend(found)
        method = "Classify" if verb == "Classif" else "Regress"
        return self._call(_PREDICTION + method, request, f"{kind}Response", self._deadline())

    def _call(self, method: str, request: Any, answer: str, deadline: float) -> Any:
        if method not in self._calls:
            self._calls[method] = self._channel.unary_unary(
                method,
                request_serializer=type(request).SerializeToString,
                response_deserializer=message(f"tensorflow.serving.{answer}").FromString,
            )
        try:
            return self._calls[method](request, timeout=max(deadline - time.monotonic(), 0.0))
        except grpc.RpcError as error:
            raise self._told(error, late=time.monotonic() >= deadline) from error

    def _told(self, error: Any, *, late: bool) -> PenstockError | ServingError:
        code, message_text = Code(error.code().value[0]), error.details() or ""
        if code == Code.UNAVAILABLE:
            if any(phrase in message_text for phrase in _NO_GRPC):
                return odd(self._address, message_text.rpartition("last error: ")[2], "gRPC")
            if any(phrase in message_text for phrase in _NOT_CONNECTED):
                return unreachable(self._address, message_text.rpartition("last error: ")[2])
            if any(phrase in message_text for phrase in _CONNECTION_ENDED):
                return broken(self._address, message_text)
        if code == Code.DEADLINE_EXCEEDED and late:
            return timed_out(self._address, self._timeout)
        return ServingError(code, message_text)


def _code(number: int) -> Code:
    return Code(number) if number in Code.__members__.values() else Code.UNKNOWN


def _host(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535 or "/" in host:
        raise ConfigError(
            f"{address!r} is no gRPC address", expected="host:port, e.g. 127.0.0.1:8500", hint="for http:// use --rest"
        )
    return host


def _options(host: str, retries: int) -> list[tuple[str, Any]]:
    policy = {
        "maxAttempts": min(retries, MOST_RETRIES) + 1,
        "initialBackoff": f"{FIRST_WAIT}s",
        "maxBackoff": f"{LONGEST_WAIT}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    methods = {"name": [{}], **({"retryPolicy": policy} if retries > 0 else {})}
    return [
        ("grpc.service_config", json.dumps({"methodConfig": [methods]})),
        ("grpc.enable_http_proxy", 0 if is_loopback(host) else 1),
        # The answer may be as large as the server likes, and what it takes is for the server to say.
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", int(FIRST_WAIT * 1000)),
        ("grpc.min_reconnect_backoff_ms", int(FIRST_WAIT * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(LONGEST_WAIT * 1000)),
    ]


def _typed(inputs: Any) -> bool:
    return isinstance(inputs, Mapping) and bool(inputs) and all(hasattr(value, "dtype") for value in inputs.values())


def _fill_spec(spec: Any, target: Target) -> None:
    spec.name = target.model
    spec.signature_name = target.signature or ""
    if target.version is not None:
        spec.version.value = target.version
    elif target.label is not None:
        spec.version_label = target.label


def _decimal(value: float) -> float:
    """Return a float32 as the shortest decimal that means it, as the REST API prints it."""
    import numpy as np

    return float(str(np.float32(value)))
