"""What becomes of a model's entry in ``models.config`` while a label moves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from penstock.pipelines.models.find import asked_for
from penstock.serving.model_config import ModelEntry, VersionPolicy

Entries = tuple[ModelEntry, ...]


def with_version(entry: ModelEntry, version: int, present: Collection[int]) -> ModelEntry:
    """Return the entry that asks for ``version`` too, besides all that it asks for now."""
    if entry.policy.kind == "all" or version in asked_for(entry, present):
        return entry
    return _specific(entry, {*_asked(entry, present), version})


def with_label(entry: ModelEntry, label: str, version: int) -> ModelEntry:
    """Return the entry whose ``label`` points to ``version``."""
    return replace(entry, labels=dict(sorted({**entry.labels, label: version}.items())))


def settled(entry: ModelEntry) -> ModelEntry:
    """Return the entry that asks for the labelled versions and no other, so that a label decides what is served.

    A client that names nothing gets the highest of them. The newest folder is not asked for: its push may have failed.
    """
    if entry.policy.kind == "all" or not entry.labels:
        return entry
    return _specific(entry, set(entry.labels.values()))


def replaced(entries: Entries, entry: ModelEntry) -> Entries:
    """Return the entries with ``entry`` in the place of the one of its name, or at their end."""
    if all(other.name != entry.name for other in entries):
        return (*entries, entry)
    return tuple(entry if other.name == entry.name else other for other in entries)


def _asked(entry: ModelEntry, present: Collection[int]) -> tuple[int, ...]:
    """Return what the entry asks for; where the base path cannot be listed, what it names."""
    return entry.policy.versions if entry.policy.kind == "specific" else asked_for(entry, present)


def _specific(entry: ModelEntry, versions: Collection[int]) -> ModelEntry:
    return replace(entry, policy=VersionPolicy("specific", versions=tuple(sorted(versions))))
