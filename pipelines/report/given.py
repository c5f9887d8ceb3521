"""What a run gave, by type."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.metadata.records import Artifact
from penstock.metadata.runs import Run, Step


def given(run: Run, kind: str | None = None) -> Iterator[tuple[Step, Artifact]]:
    """Yield step and artifact of all outputs of a run, cached ones included, in the order of the steps.

    Args:
        run: The run.
        kind: Only artifacts of this type; all when None.
    """
    for step in run.steps:
        for found in step.outputs.values():
            yield from ((step, artifact) for artifact in found if kind in (None, artifact.type))
