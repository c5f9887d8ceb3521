"""The predict gate: a model that cannot be loaded, or cannot answer its warm-up requests, is not published.

The copy that is about to be published is loaded in a process of its own, as a model server would. ``python -m
penstock.components.pusher.gate FOLDER`` asks one model by hand.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from penstock.components.pusher.clean_process import ask_in_clean_process, tell
from penstock.errors import ArtifactError
from penstock.serving.errors import ServingError


@dataclass(frozen=True)
class GateReport:
    """What a model did in the gate: how many warm-up requests it answered."""

    requests: int

    def __str__(self) -> str:
        if not self.requests:
            return "the model loads in a clean process; it carries no warm-up requests"
        return f"the model answered {self.requests} warm-up requests in a clean process"


def pass_gate(model: Path, timeout: float) -> GateReport:
    """Load a SavedModel in a clean process and let it answer the warm-up requests that it carries.

    Args:
        model: Folder of the SavedModel.
        timeout: Seconds that it may take.

    Raises:
        ArtifactError: It cannot be loaded or cannot answer, ended the process, or took too long.
        EnvironmentProblem: The process could not be started.
    """
    return GateReport(**ask_in_clean_process(__name__, model, timeout, partial(_refused, model)))


def ask(model: Path) -> GateReport:
    """Do the gate's work in this process, with what the embedded server loads and warms models with.

    Raises:
        ArtifactError: The model cannot be loaded or cannot answer.
    """
    from penstock.serving.models.loader import load_servable
    from penstock.serving.models.warmup import replay

    try:
        servable = load_servable(model.name, 0, model, warm_up=False)
        try:
            return GateReport(replay(servable, model))
        finally:
            servable.close()
    except ServingError as error:
        raise _refused(
            model, error.message, "ask it by hand: python -m penstock.components.pusher.gate FOLDER"
        ) from error


def _refused(model: Path, what: str, hint: str) -> ArtifactError:
    return ArtifactError(
        f"the model did not pass the predict gate: {what}",
        where=str(model),
        expected="a SavedModel that loads in a clean process and answers its warm-up requests",
        hint=hint,
    )


if __name__ == "__main__":
    tell(lambda model: asdict(ask(model)))
