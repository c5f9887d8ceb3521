"""A lineage as a Mermaid flowchart, for a README or a page."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.metadata.lineage import Lineage
from penstock.metadata.records import Artifact, Execution

_ESCAPED = str.maketrans({'"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " "})


def mermaid(found: Lineage) -> str:
    """Return a flowchart from left to right: artifacts are boxes, executions are rounded, the target stands out."""
    return "\n".join(["flowchart LR", *(f"  {line}" for line in _lines(found))])


def _lines(found: Lineage) -> Iterator[str]:
    executions = {one.id: one for one in (*found.up, *found.down)}
    for key in sorted(found.artifacts):
        yield f'a{key}["{_artifact(found.artifacts[key])}"]'
    for key in sorted(executions):
        yield f'e{key}(["{_execution(executions[key])}"])'
    for key in sorted(executions):
        yield from (f"a{one} --> e{key}" for one in executions[key].all_inputs() if one in found.artifacts)
        yield from (f"e{key} --> a{one}" for one in executions[key].all_outputs() if one in found.artifacts)
    yield "classDef target fill:#fd9,stroke:#333,stroke-width:2px"
    yield f"class {','.join(f'a{one}' for one in found.same)} target"


def _artifact(artifact: Artifact) -> str:
    facts = artifact.properties
    name = f"{facts['model_name']}/{facts['pushed_version']} " if facts.get("pushed") == 1 else ""
    mode = f"{facts['mode']} " if "mode" in facts else ""
    return f"{name}{mode}{artifact.type} {artifact.id}".translate(_ESCAPED)


def _execution(execution: Execution) -> str:
    facts = execution.properties
    if not execution.origin.step and "label" in facts:
        change = f"{facts.get('kind')} {facts['label']}: {facts.get('before', 'new')} → {facts.get('after')}"
        return change.translate(_ESCAPED)
    parts = (execution.origin.step or execution.component, execution.origin.run)
    return "<br/>".join(part.translate(_ESCAPED) for part in parts if part)
