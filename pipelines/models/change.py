"""Promotes a version or rolls a label back, and records it: in the history beside the config, and in ML Metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.metadata.label_changes import LabelChange
from penstock.pipelines.models.find import Model
from penstock.pipelines.models.live import live
from penstock.pipelines.models.move import Moved, move_label
from penstock.pipelines.models.tracking import record
from penstock.serving.label_history import moved, record_move


@dataclass(frozen=True)
class Changed:
    """A label that was moved, and what there is to say about it, a sentence each."""

    moved: Moved
    notes: tuple[str, ...]


def change_label(  # noqa: PLR0913  What, where to, why and how long.
    model: Model,
    version: int,
    label: str,
    *,
    kind: str,
    grpc: str | None,
    timeout: float,
    say: Callable[[str], None],
) -> Changed:
    """Move a label and record the outcome, a failed one too.

    Args:
        model: The model.
        version: The version that the label shall point to.
        label: The label.
        kind: ``promote`` or ``rollback``.
        grpc: The server's address; the recorded one when None.
        timeout: Seconds to wait for the server.
        say: Told each step, a line.

    Raises:
        PenstockError: The label was not moved; it says what is served now.
    """
    before = model.labels.get(label)
    change = LabelChange(kind, model.name, label, before, version, str(model.config))
    path = model.versions().get(version)
    try:
        with live(model, grpc) as place:
            done = move_label(place, version, label, timeout=timeout, say=say)
    except PenstockError as error:
        if path is not None:
            say(record(model, path, LabelChange(**{**vars(change), "error": str(error)})))
        raise
    notes = [] if done.problem is None else [done.problem]
    if not done.served:
        notes.append(
            f"No server is known, so nobody has confirmed that version {version} is AVAILABLE; a server that watches "
            "the config takes it over. With --grpc HOST:PORT the label moves only then."
        )
    if done.before != version:
        notes += _remember(model, label, done.before, version, kind)
    return Changed(done, (*notes, record(model, path, LabelChange(**{**vars(change), "before": done.before}))))


def _remember(model: Model, label: str, before: int | None, version: int, kind: str) -> list[str]:
    try:
        record_move(model.config, moved(model.name, label, before, version, kind))
    except PenstockError as error:
        return [str(error)]
    return []
