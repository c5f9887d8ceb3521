"""A reply, and those that are no answer of a model: errors, states of versions, metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.state import VersionStatus

JSON = "application/json"

HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


@dataclass(frozen=True)
class Reply:
    """What is sent back.

    Attributes:
        status: HTTP status.
        body: Its text.
        content_type: Of the text.
    """

    status: int
    body: bytes
    content_type: str = JSON


def failure(error: ServingError) -> Reply:
    """Return the reply that tells of an error."""
    return problem(HTTP_STATUS[error.code], error.message)


def problem(status: int, message: str) -> Reply:
    """Return the reply with a status and the one member ``error``."""
    text = message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return Reply(status, b'{\n    "error": ' + orjson.dumps(text) + b"\n}")


def states(versions: Sequence[VersionStatus]) -> bytes:
    """Return the states of versions as protobuf prints a ``GetModelStatusResponse``."""
    found = [
        {
            "version": str(status.version),
            "state": status.state.name,
            "status": {"error_code": status.code.name, "error_message": status.message},
        }
        for status in versions
    ]
    return json.dumps({"model_version_status": found}, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def metadata(response: Any) -> bytes:
    """Return a ``GetModelMetadataResponse`` as JSON, its signatures unpacked."""
    from google.protobuf.json_format import MessageToJson
    from tensorflow_serving.apis import get_model_metadata_pb2

    def text(message: Any) -> str:
        return str(
            MessageToJson(
                message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True, indent=1
            )
        )

    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    spec, definitions = text(response.model_spec), text(signatures)
    return f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {definitions}}}\n}}\n'.encode()
