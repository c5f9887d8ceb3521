"""Base paths of both kinds, folders and object stores, with what a push does to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from penstock.components.pusher import object_store, retention
from penstock.components.pusher.config import Version
from penstock.components.pusher.publish import disk, publish
from penstock.components.pusher.words import is_url
from penstock.serving.versions import versions


@dataclass(frozen=True)
class Placed:
    """A published version: its number, its absolute path or URL, and the digest of its manifest."""

    version: int
    path: str
    digest: str


@dataclass(frozen=True)
class Draft:
    """What is to become a version.

    Attributes:
        model: Folder of the SavedModel.
        version: ``next``, ``timestamp`` or a positive integer.
        extra: Files of the version besides the model's: path in the version → content.
        gate: Called with the complete copy before it gets its number. What it raises ends the push.
        used: Versions that are known, from elsewhere, to have been there.
        alone: Keeps other pushes out, where the place itself cannot.
    """

    model: Path
    version: Version
    extra: Mapping[str, bytes]
    gate: Callable[[Path], object]
    used: Collection[int]
    alone: Callable[[], AbstractContextManager[None]]


class Place(Protocol):
    """A base path.

    Attributes:
        base: Its absolute path or URL.
    """

    base: str

    def present(self) -> Collection[int]:
        """Return the versions that are there."""

    def publish(self, draft: Draft) -> Placed:
        """Copy a SavedModel into a new version."""

    def prune(self, keep: int, needed: Collection[int]) -> tuple[int, ...]:
        """Remove all but the newest versions and those that are needed; return what was removed."""


class Folder:
    """A base path on a file system."""

    def __init__(self, base: str) -> None:
        self._path = Path(base).absolute()
        self.base = str(self._path)

    def present(self) -> Collection[int]:
        """Return the versions that are there, none where there is no such folder."""
        with disk(self._path):
            return versions(self._path) if self._path.is_dir() else ()

    def publish(self, draft: Draft) -> Placed:
        """Stage, ask and rename."""
        published = publish(draft.model, self._path, draft.version, extra=draft.extra, gate=draft.gate, used=draft.used)
        return Placed(published.version, str(published.path), published.digest)

    def prune(self, keep: int, needed: Collection[int]) -> tuple[int, ...]:
        """Rename out of the way and remove."""
        return retention.prune(self._path, keep, needed)


class Store:
    """A base path in an object store."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")

    def present(self) -> Collection[int]:
        """Return the versions that are there."""
        return object_store.present(self.base)

    def publish(self, draft: Draft) -> Placed:
        """Stage and ask here, then upload."""
        uploaded = object_store.upload(
            draft.model,
            self.base,
            draft.version,
            extra=draft.extra,
            gate=draft.gate,
            used=draft.used,
            alone=draft.alone,
        )
        return Placed(uploaded.version, uploaded.url, uploaded.digest)

    def prune(self, keep: int, needed: Collection[int]) -> tuple[int, ...]:
        """Remove file by file; nobody serves what no config names."""
        return object_store.prune(self.base, keep, needed)


def place_of(base: str) -> Place:
    """Return the base path of a folder, relative to the working folder or absolute, or of a URL."""
    return Store(base) if is_url(base) else Folder(base)
