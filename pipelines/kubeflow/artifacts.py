"""KFP's runtime artifacts ↔ TFX's artifacts.

KFP knows an artifact by its URI and a flat mapping of metadata, in which every number is a float, and its driver hands
inputs over without their type (tfx#7768). So the types come from the step's description, and which of the properties
are integers travels with the artifact.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import ArtifactError

INTEGERS = "penstock_integers"
"""Metadata: names of the custom properties that are integers, separated by spaces."""
PARTS = "penstock_parts"
"""Metadata: JSON of the artifacts that an output consists of where it is not one: KFP has one an output."""
_IDS = 1 << 63


def read_artifacts(runtime: Mapping[str, Any], class_path: str, place: str) -> list[Any]:
    """Return the TFX artifacts that a runtime artifact stands for.

    Args:
        runtime: KFP's ``RuntimeArtifact`` as JSON data.
        class_path: Import path of the artifact's class.
        place: Where its files are: a path of this container, or its URI.
    """
    metadata = dict(runtime.get("metadata") or {})
    parts = json.loads(metadata.pop(PARTS)) if PARTS in metadata else None
    name = str(runtime.get("name") or "")
    if parts is None:
        return [_artifact(class_path, place, metadata, name)]
    return [_artifact(class_path, f"{place}/{part['path']}", part["metadata"], name) for part in parts]


def write_artifact(artifacts: Sequence[Any], runtime: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return what an output became, as KFP's ``RuntimeArtifact``.

    Args:
        artifacts: TFX's artifacts; several must lie below ``place``.
        runtime: The ``RuntimeArtifact`` that KFP provided for it.
        place: Where its files are.

    Raises:
        ArtifactError: One of several artifacts lies elsewhere.
    """
    told = {key: runtime[key] for key in ("name", "uri") if key in runtime}
    if len(artifacts) == 1 and artifacts[0].uri == place:
        return {**told, "metadata": _metadata(artifacts[0])}
    parts = [{"path": _below(artifact.uri, place), "metadata": _metadata(artifact)} for artifact in artifacts]
    return {**told, "metadata": {PARTS: json.dumps(parts, sort_keys=True)}}


def _artifact(class_path: str, uri: str, metadata: Mapping[str, Any], name: str) -> Any:
    from tfx.utils import import_utils

    artifact = import_utils.import_class_by_path(class_path)()
    artifact.uri = uri
    if name:
        artifact.mlmd_artifact.id = _identity(name)
    integers = frozenset(str(metadata.get(INTEGERS, "")).split())
    for key, value in metadata.items():
        if key in (artifact.PROPERTIES or {}):
            _set_declared(artifact, key, value)
        elif key != INTEGERS:
            _set_custom(artifact, key, value, integer=key in integers)
    return artifact


def _identity(name: str) -> int:
    """Return the artifact's id in ML Metadata; Vertex AI has names instead, of which TFX makes numbers by a hash."""
    return int(name) if name.isdecimal() else int(hashlib.sha256(name.encode()).hexdigest(), 16) % _IDS


def _set_declared(artifact: Any, key: str, value: Any) -> None:
    from tfx.types.artifact import PropertyType

    kind = artifact.PROPERTIES[key].type
    setattr(artifact, key, int(value) if kind == PropertyType.INT else value)


def _set_custom(artifact: Any, key: str, value: Any, *, integer: bool) -> None:
    if integer:
        artifact.set_int_custom_property(key, int(value))
    elif isinstance(value, bool | int | float):
        artifact.set_float_custom_property(key, float(value))
    elif isinstance(value, str):
        artifact.set_string_custom_property(key, value)
    else:
        artifact.set_json_value_custom_property(key, value)


def _metadata(artifact: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    found: dict[str, Any] = {}
    integers = []
    for properties in (artifact.mlmd_artifact.properties, artifact.mlmd_artifact.custom_properties):
        for key, value in properties.items():
            kind = value.WhichOneof("value")
            if kind is None:
                continue
            content = getattr(value, kind)
            found[key] = json_format.MessageToDict(content) if kind == "struct_value" else content
            if kind == "int_value" and key not in (artifact.PROPERTIES or {}):
                integers.append(key)
    return {**found, INTEGERS: " ".join(sorted(integers))} if integers else found


def _below(uri: str, place: str) -> str:
    if not uri.startswith(f"{place}/"):
        raise ArtifactError(
            "one of several artifacts of an output lies elsewhere", where=uri, expected=f"a folder below {place}"
        )
    return uri.removeprefix(f"{place}/")
