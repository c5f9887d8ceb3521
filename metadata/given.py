"""What a run gave, by type."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.metadata.lineage import PUSHED_MODEL
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


def main_output(run: Run) -> Artifact | None:
    """Return what a run was for: a version that it pushed, else its model, else its last examples or output."""
    every = [one for _, one in given(run)]
    pushed = [one for one in every if one.type == PUSHED_MODEL and one.properties.get("pushed") == 1]
    models = [one for one in every if one.type == "Model"]
    examples = [one for one in every if one.type == "Examples"]
    return next(iter([*pushed, *models, *examples[-1:], *every[-1:]]), None)
