"""The metadata store that knows a version: found, asked, and told what became of its labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import PenstockError
from penstock.metadata.connection import is_there
from penstock.metadata.label_changes import LabelChange, record_change
from penstock.metadata.provenance import pushed_model, pushed_to
from penstock.metadata.server import Location
from penstock.pipelines.models.find import Model
from penstock.serving.manifest import MANIFEST, Manifest

STORE_NAME = "metadata.sqlite"
_FOLDERS_ABOVE = 4
_PATTERNS = (STORE_NAME, f"*/{STORE_NAME}", f"*/*/{STORE_NAME}")


@dataclass(frozen=True)
class Tracked:
    """A version, in the store of the pipeline that pushed it.

    Attributes:
        store: The store.
        artifact: Id of its PushedModel.
    """

    store: Location
    artifact: int


def digest_of(path: Path) -> str | None:
    """Return the digest of a version's manifest, or None where the Pusher did not publish it, or it is damaged."""
    try:
        return Manifest.from_bytes((path / MANIFEST).read_bytes()).digest
    except (OSError, ValueError):
        return None


def tracked(model: Model, version: int) -> Tracked | None:
    """Return where a version is tracked: in its pipeline's store, one in a folder above its config, or one below here.

    A folder is looked up by what is in it; an object store's, which is not read for this, by where it was pushed to.
    """
    path = model.versions().get(version)
    digest = digest_of(path) if path is not None else None
    if model.local and digest is None:
        return None
    for store in _stores(model):
        if digest is not None:
            artifact = pushed_model(store, digest, version)
        else:
            artifact = pushed_to(store, model.name, version, f"{model.base.rstrip('/')}/{version}")
        if artifact is not None:
            return Tracked(store, artifact)
    return None


def record(model: Model, change: LabelChange) -> str:
    """Record a change of a label where the version is tracked.

    Args:
        model: The model.
        change: The change.

    Returns:
        What became of it, one sentence: a change that was made must not fail for want of its record.
    """
    try:
        place = tracked(model, change.after)
        if place is None:
            return f"Not recorded in ML Metadata: no store knows version {change.after} of {model.name}."
        execution = record_change(place.store, change, place.artifact)
        return f"Recorded in ML Metadata: execution {execution} in {place.store}."
    except PenstockError as error:
        return f"Not recorded in ML Metadata: {error}"


def _stores(model: Model) -> Iterator[Location]:
    above = [folder / STORE_NAME for folder in model.config.parents[:_FOLDERS_ABOVE]]
    below = (file for pattern in _PATTERNS for file in sorted(Path.cwd().glob(pattern)))
    named = [model.store] if model.store is not None else []
    # Each once: the same store may be found in several ways.
    yield from dict.fromkeys(store for store in (*named, *above, *below) if is_there(store))
