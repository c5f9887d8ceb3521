"""GetModelMetadata: the signatures of a version."""

from __future__ import annotations

from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.model import Model

SIGNATURE_DEF = "signature_def"
"""The one field of metadata that there is."""


def check_fields(fields: list[str]) -> None:
    """Refuse a request for metadata that no server has; this comes before the model is looked up.

    Raises:
        ServingError: No field, or an unknown one, was asked for.
    """
    if not fields:
        raise ServingError(Code.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != SIGNATURE_DEF:
            raise ServingError(Code.INVALID_ARGUMENT, f"Metadata field {field} is not supported")


def metadata(servable: Model) -> Any:
    """Return the ``GetModelMetadataResponse`` of a version: its signatures, packed into an ``Any``."""
    from tensorflow_serving.apis import get_model_metadata_pb2

    found = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in servable.signatures.items():
        found.signature_def[name].CopyFrom(definition)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.metadata[SIGNATURE_DEF].Pack(found)
    return response
