"""Publishes to an object store, which cannot rename: a version appears there file by file.

So no server may poll it. It is told by its config which versions to serve, and the new one is named there when all of
it is up. The manifest is written last, and all is read back: a version without it, or with another one, is none.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from penstock.components.pusher.config import Version
from penstock.components.pusher.publish import model_entries, publish
from penstock.components.pusher.retention import superfluous
from penstock.components.pusher.versions import REMOVED, choose_among
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.serving.manifest import MANIFEST, walk
from penstock.serving.versions import version_number


@dataclass(frozen=True)
class Uploaded:
    """An uploaded version: its number, its URL and the digest of its manifest (hexadecimal SHA-256)."""

    version: int
    url: str
    digest: str


def upload(  # noqa: PLR0913  What `publish` takes, and what a store cannot do by itself.
    model: Path,
    base: str,
    version: Version,
    *,
    extra: Mapping[str, bytes],
    gate: Callable[[Path], object] | None = None,
    used: Collection[int] = (),
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Uploaded:
    """Copy a SavedModel into a new version of a base path in an object store.

    Args:
        model: Folder of the SavedModel.
        base: URL of the base path.
        version: ``next``, ``timestamp`` or a positive integer.
        extra: Files of the version besides the model's: path in the version → content.
        gate: Called with the complete copy before it is uploaded. What it raises ends the push.
        used: Versions that are known, from elsewhere, to have been there.
        alone: Keeps other pushes out while the number is chosen and the files go up: the store cannot keep two from
            taking the same number.

    Raises:
        ArtifactError: The folder is no SavedModel, or the wanted version exists.
        EnvironmentProblem: The store cannot be reached or written, or holds something else than was written.
    """
    _choose(base, version, used)  # A number that is taken is better told before the copy than after it.
    model_entries(model)
    with TemporaryDirectory(prefix="penstock-push-") as folder:
        # Put together here first: the gate, the manifest and its digest are those of a local push.
        local = publish(model, Path(folder), 1, extra=extra, gate=gate)
        with alone():
            number = _choose(base, version, used)
            url = f"{base}/{number}"
            _put_all(local.path, url)
    return Uploaded(number, url, local.digest)


def present(base: str) -> dict[int, str]:
    """Return the version numbers in a base path, each with the URL of its folder.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    with _store(base):
        return {number: f"{base}/{name}" for name in _names(base) if (number := version_number(name)) is not None}


def prune(base: str, keep: int, needed: Collection[int]) -> tuple[int, ...]:
    """Remove all but the newest versions, as :func:`penstock.components.pusher.retention.prune` does.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    removed, found = [], present(base)
    for number in superfluous(found, keep, needed):
        try:
            if _remove(base, number, found[number]):
                removed.append(number)
        except EnvironmentProblem as error:
            # The push is done; a version too many harms nobody and is tried again by the next push.
            logging.getLogger(__name__).warning("cannot remove version %d: %s", number, error.received)
    return tuple(removed)


def _remove(base: str, number: int, url: str) -> bool:
    """Remove a version that the Pusher published, and remember its number; return whether it was such a one."""
    files = _files()
    with _store(url):
        if not files.exists(f"{url}/{MANIFEST}"):
            return False
        files.makedirs(f"{base}/{REMOVED}")
        with files.open(f"{base}/{REMOVED}/{number}", "wb") as stream:
            stream.write(b"")
        files.rmtree(url)
    return True


def _choose(base: str, version: Version, used: Collection[int]) -> int:
    found = present(base)
    with _store(base):
        names = _names(f"{base}/{REMOVED}")
    gone = {number for name in names if (number := version_number(name)) is not None}
    return choose_among(base, found, {*gone, *used}, version)


def _names(folder: str) -> list[str]:
    files = _files()
    # Stores list folders with a slash at the end.
    return [name.rstrip("/") for name in files.listdir(folder)] if files.exists(folder) else []


def _put_all(model: Path, url: str) -> None:
    files = [(name, path) for name, path in walk(model) if path.is_file() and name != MANIFEST]
    files.append((MANIFEST, model / MANIFEST))
    with _store(url):
        for name, path in files:
            _put(path, f"{url}/{name}")
        for name, path in files:
            _require_equal(path, f"{url}/{name}")


def _put(source: Path, url: str) -> None:
    files = _files()
    files.makedirs(url.rpartition("/")[0])
    files.copy(str(source), url, overwrite=True)


def _require_equal(source: Path, url: str) -> None:
    with source.open("rb") as here, _files().open(url, "rb") as there:
        if hashlib.file_digest(here, "sha256").digest() != hashlib.sha256(there.read()).digest():
            raise ArtifactError(
                f"{url} is not what was uploaded",
                received="other content",
                expected=f"the content of {source.name}",
                hint="look for another push to the same base path at the same time; this version is not in service",
            )


def _files() -> Any:
    """Return TFX's file system, which knows the stores that are installed."""
    from tfx.dsl.io import fileio

    return fileio


@contextmanager
def _store(url: str) -> Iterator[None]:
    """Turn what a store refuses into one clear error about ``url``."""
    import tensorflow as tf

    try:
        yield
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise EnvironmentProblem(
            f"the model could not be pushed to {url}",
            received=f"{type(error).__name__}: {error}",
            expected="an object store that can be read and written, by a scheme that is installed",
            hint="check the URL and the credentials of this process",
        ) from error
