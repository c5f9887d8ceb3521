"""Manifests as YAML: documents that ``kubectl apply -f -`` takes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any


def as_yaml(manifests: Sequence[dict[str, Any]], heading: str) -> str:
    """Return manifests as one stream of YAML documents, each text of several lines as a block.

    Args:
        manifests: The manifests.
        heading: What the stream is, a comment before it.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shown(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [shown(inner) for inner in value]
        return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    stream = io.StringIO()
    stream.write("".join(f"# {line}\n" for line in heading.splitlines()))
    for manifest in manifests:
        stream.write("---\n")
        yaml.dump(shown(manifest), stream)
    return stream.getvalue()
