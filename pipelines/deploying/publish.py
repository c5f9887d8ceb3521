"""A compiled pipeline on the server: one pipeline a name, one version a content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penstock.errors import ConfigError, PenstockError
from penstock.pipelines.deploying.client import Server

_DIGITS = 12
_EQUALS = 1
"""How kfp's filters write "is"."""


@dataclass(frozen=True)
class Published:
    """A version of a pipeline on the server.

    Attributes:
        pipeline_id: The server's id of the pipeline.
        version_id: Its id of the version.
        version: The version's name: the pipeline's, and the beginning of the text's SHA-256.
        outcome: ``new pipeline``, ``new version``, or ``unchanged`` where that very text was there.
    """

    pipeline_id: str
    version_id: str
    version: str
    outcome: Literal["new pipeline", "new version", "unchanged"]


def publish(server: Server, name: str, text: str, *, description: str) -> Published:
    """Upload a compiled pipeline unless the server has that very text.

    Args:
        server: The server.
        name: The pipeline's name.
        text: The compiled pipeline, YAML.
        description: What the server's pages say of the version.

    Raises:
        PenstockError: The server refuses it or cannot be asked. A pipeline that was made for it is removed again.
    """
    version = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
    pipeline_id = _pipeline(server, name)
    if pipeline_id is None:
        return _first(server, name, version, text, description)
    found = _version(server, pipeline_id, version)
    if found is not None:
        return Published(pipeline_id, found, version, "unchanged")
    return Published(pipeline_id, _upload(server, pipeline_id, version, text, description), version, "new version")


def _first(server: Server, name: str, version: str, text: str, description: str) -> Published:
    """Make the pipeline and its first version.

    ``kfp.Client.upload_pipeline`` makes both at once, and names the version after the pipeline, not after its content.
    """
    from kfp_server_api import V2beta1Pipeline

    api = server.client
    # Without `name`, which servers before KFP 2.14 refuse; newer ones take the display name for it.
    pipeline = V2beta1Pipeline(display_name=name, namespace=server.access.namespace)
    made = server.ask("create the pipeline", api.pipelines.pipeline_service_create_pipeline, pipeline)
    try:
        version_id = _upload(server, made.pipeline_id, version, text, description)
    except PenstockError:
        with contextlib.suppress(PenstockError):  # What went wrong first is what the user needs to know.
            server.ask("remove the empty pipeline", api.delete_pipeline, made.pipeline_id)
        raise
    return Published(made.pipeline_id, version_id, version, "new pipeline")


def _upload(server: Server, pipeline_id: str, version: str, text: str, description: str) -> str:
    with tempfile.TemporaryDirectory(prefix="penstock-deploy-") as folder:
        file = Path(folder) / "pipeline.yaml"
        file.write_text(text, encoding="utf-8")
        made = server.ask(
            "take the pipeline",
            server.client.upload_pipeline_version,
            str(file),
            version,
            pipeline_id=pipeline_id,
            description=description,
        )
    return str(made.pipeline_version_id)


def _pipeline(server: Server, name: str) -> str | None:
    api = server.client
    found = server.ask(
        "list pipelines", api.list_pipelines, filter=_named(name), namespace=server.access.namespace
    ).pipelines
    if found and len(found) > 1:
        raise ConfigError(
            f"the server has {len(found)} pipelines with the name {name}",
            where=server.access.host,
            hint="give this one another name (the config's 'pipeline'), or remove all but one on the server's pages",
        )
    return str(found[0].pipeline_id) if found else None


def _version(server: Server, pipeline_id: str, name: str) -> str | None:
    answer = server.ask(
        "list the pipeline's versions", server.client.list_pipeline_versions, pipeline_id, filter=_named(name)
    )
    return next((str(one.pipeline_version_id) for one in answer.pipeline_versions or () if _name(one) == name), None)


def _name(version: Any) -> str:
    return str(version.display_name or version.name)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": _EQUALS, "key": "display_name", "stringValue": name}]})
