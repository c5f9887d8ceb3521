"""Promotes a version or rolls a label back, and records it: in the history beside the config, and in ML Metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from penstock.errors import PenstockError
from penstock.metadata.label_changes import LabelChange
from penstock.pipelines.models.find import Model, refreshed, require_config, require_servable
from penstock.pipelines.models.live import live
from penstock.pipelines.models.move import Moved, check_label, move_label, version_to_go_back_to
from penstock.pipelines.models.tracking import record
from penstock.serving.label_history import moved, record_move
from penstock.serving.places import changing

UNKNOWN_SERVER = (
    "an embedded server that polls the config (--model_config_file_poll_wait_seconds) loads the version and then moves "
    "the label by itself; a TensorFlow Serving that runs with it already refuses a label on a version that it has not "
    "loaded: name it (destination.tf_serving.grpc, or --grpc) to move labels safely"
)


@dataclass(frozen=True)
class Wish:
    """A label that is to be moved.

    Attributes:
        kind: What moves it.
        label: The label.
        version: The version that it shall point to; None for a rollback to the one before.
        create: Whether the label may be new to a model that has others.
    """

    kind: Literal["promote", "rollback"]
    label: str
    version: int | None
    create: bool = False

    def target(self, model: Model) -> int:
        """Return the version, once the label has been checked.

        Raises:
            ConfigError: There is no such label, or no version is known to go back to.
        """
        if self.kind == "rollback" or self.version is None:
            return version_to_go_back_to(model, self.label, self.version)
        check_label(model, self.label, create=self.create)
        return self.version


@dataclass(frozen=True)
class Changed:
    """A label that was moved, and what there is to say about it, a sentence each."""

    moved: Moved
    notes: tuple[str, ...]


def change_label(model: Model, wish: Wish, *, grpc: str | None, timeout: float, say: Callable[[str], None]) -> Changed:
    """Move a label and record the outcome, a failed one too.

    Args:
        model: The model; what its config says is read again once nobody else changes it.
        wish: The label, and where to.
        grpc: The server's address; the recorded one when None.
        timeout: Seconds to wait for the server, and for others that change the config.
        say: Told each step, a line.

    Raises:
        PenstockError: The label was not moved; it says what is served now, or that nothing can be.
    """
    require_servable(model)
    require_config(model)
    with changing(model.config, timeout):
        return _change(refreshed(model), wish, grpc, timeout, say)


def _change(model: Model, wish: Wish, grpc: str | None, timeout: float, say: Callable[[str], None]) -> Changed:
    version = wish.target(model)
    change = LabelChange(wish.kind, model.name, wish.label, model.labels.get(wish.label), version, str(model.config))
    try:
        with live(model, grpc) as place:
            done = move_label(place, version, wish.label, timeout=timeout, say=say)
    except PenstockError as error:
        if not model.local or version in model.versions():
            say(record(model, replace(change, error=str(error))))
        raise
    notes = [] if done.problem is None else [done.problem]
    if not done.served:
        notes.append(f"No server is known: {UNKNOWN_SERVER}.")
    if change.before != version:
        notes += _remember(model, change)
    return Changed(done, (*notes, record(model, change)))


def _remember(model: Model, change: LabelChange) -> list[str]:
    try:
        record_move(model.config, moved(model.name, change.label, change.before, change.after, change.kind))
    except PenstockError as error:
        return [str(error)]
    return []
