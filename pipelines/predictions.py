"""What a batch inference wrote, read from the properties of its artifact."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.metadata import Artifact

_DIGITS = 12
"""Of a digest, as many as tell one model from another."""


@dataclass(frozen=True)
class Predictions:
    """What a batch inference wrote; ``reason`` says why nothing, where that is so.

    Attributes:
        step: Its step.
        scored: Whether it scored at all.
        reason: Why not.
        rows: Rows that were read.
        results: Rows that have a result.
        errors: Rows that have none.
        form: The format of the files.
        path: The folder with the files.
        model: The model, in words.
        gone: Whether ``penstock gc`` removed the files.
    """

    step: str
    scored: bool
    reason: str
    rows: int
    results: int
    errors: int
    form: str
    path: str
    model: str
    gone: bool = False


def read_predictions(step: str, artifact: Artifact) -> Predictions:
    """Return what the artifact of a batch inference says of itself."""
    facts = artifact.properties
    version, digest = facts.get("model_version"), str(facts.get("model_digest", ""))
    return Predictions(
        step=step,
        scored=facts.get("scored") == 1,
        reason=str(facts.get("reason", "")),
        rows=int(facts.get("rows", 0)),
        results=int(facts.get("results", 0)),
        errors=int(facts.get("errors", 0)),
        form=str(facts.get("format", "")),
        path=artifact.uri,
        model=f"version {version} of {facts.get('model_name')}" if version is not None else f"model {digest[:_DIGITS]}",
        gone=artifact.deleted,
    )
