"""Publishes a SavedModel as a numbered folder that appears complete or not at all.

TF Serving loads any numbered folder the moment it sees it. So the model is put together in a hidden folder of the same
base path, flushed to disk, and renamed; a rename is atomic, and fails when another process took the number first.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.components.pusher.config import Version
from penstock.components.pusher.manifest import MANIFEST, Manifest, walk
from penstock.components.pusher.staging import remove_leftovers, staging_folder
from penstock.components.pusher.versions import choose, exists
from penstock.errors import ArtifactError, EnvironmentProblem

_CHUNK = 1 << 20
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_HINTS = {
    errno.ENOSPC: "free some space on that disk, then run again",
    errno.EDQUOT: "free some of your quota on that disk, then run again",
}


@dataclass(frozen=True)
class Published:
    """A published version: its number, its absolute path and the digest of its manifest (hexadecimal SHA-256)."""

    version: int
    path: Path
    digest: str


def publish(model: Path, base: Path, version: Version) -> Published:
    """Copy a SavedModel into a new version of a base path; existing versions are never touched.

    Args:
        model: Folder of the SavedModel.
        base: TF Serving base path, made when missing.
        version: ``next``, ``timestamp`` or a positive integer.

    Raises:
        ArtifactError: The folder is no SavedModel, or the wanted version exists.
        EnvironmentProblem: The base path is no folder, cannot be written, or the disk is full.
    """
    with _disk(model):
        entries = _entries(model)
    with _disk(base):
        _make_base(base)
        remove_leftovers(base)
        choose(base, version)  # A number that is taken is better told before the copy than after it.
        with staging_folder(base) as staged:
            manifest = _copy(entries, staged)
            number = _claim(staged, base, version)
    path = base / str(number)
    _confirm(path)
    return Published(version=number, path=path, digest=manifest.digest)


def _entries(model: Path) -> list[tuple[str, Path]]:
    if not any((model / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise ArtifactError(
            f"{model} is no SavedModel",
            received=f"a folder with {_listing(model)}" if model.is_dir() else "no such folder",
            expected="a folder with saved_model.pb or saved_model.pbtxt",
            hint="look at the step that exports the model: it must save to the serving folder that it is given",
        )
    entries = [(name, path) for name, path in walk(model) if name != MANIFEST]
    for name, path in entries:
        if not path.is_file() and (path.is_symlink() or not path.is_dir()):
            raise ArtifactError(
                f"{path} cannot be pushed",
                received="a link to a folder, a broken link or a special file",
                expected="files and folders",
                hint=f"replace {name} by the real file or folder",
            )
    return entries


def _listing(folder: Path) -> str:
    names = sorted(child.name for child in folder.iterdir())
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "") if names else "nothing in it"


def _make_base(base: Path) -> None:
    if base.exists() and not base.is_dir():
        raise EnvironmentProblem(
            f"the destination {base} is a file",
            received="a file",
            expected="a folder, or a path at which one can be made",
            hint="remove that file or choose another `destination.directory`",
        )
    missing = [folder for folder in (base, *base.parents) if not folder.exists()]
    base.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        _flush(folder.parent)


def _copy(entries: list[tuple[str, Path]], staged: Path) -> Manifest:
    """Copy the entries, write their manifest, and flush all of it to disk."""
    staged.mkdir()
    files: dict[str, tuple[int, str]] = {}
    folders = [staged]
    for name, source in entries:
        target = staged / name
        if source.is_dir():
            target.mkdir()
            folders.append(target)
        else:
            with _disk(target):
                files[name] = _copy_file(source, target)
    manifest = Manifest(files)
    target = staged / MANIFEST
    if target.parent not in folders:
        target.parent.mkdir()
        folders.append(target.parent)
    with _disk(target):
        _write(target, iter([manifest.to_bytes()]))
    for folder in folders:
        _flush(folder)
    return manifest


def _copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Copy one file and return its size in bytes and the SHA-256 of what was written."""
    sha256 = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        with source.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                sha256.update(chunk)
                yield chunk

    return _write(target, chunks()), sha256.hexdigest()


def _write(target: Path, chunks: Iterator[bytes]) -> int:
    with target.open("xb") as stream:
        size = sum(stream.write(chunk) for chunk in chunks)
        stream.flush()
        os.fsync(stream.fileno())
    return size


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _claim(staged: Path, base: Path, version: Version) -> int:
    """Rename the staged model to its version and return the number; who loses a race takes the following one."""
    while True:
        # Renaming onto an empty folder would succeed on Linux; such a folder counts as a version and is not chosen.
        number = choose(base, version)
        try:
            staged.rename(base / str(number))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            if isinstance(version, int):
                raise exists(base / str(number), number) from error
        else:
            return number


def _confirm(path: Path) -> None:
    """Flush the rename to disk."""
    try:
        _flush(path.parent)
    except OSError as error:
        raise EnvironmentProblem(
            f"version {path.name} is published, but the disk did not confirm it",
            received=f"{path.parent}: {os.strerror(error.errno or 0)}",
            expected="a folder that can be flushed to disk",
            hint=f"check the disk; {path} is complete now, but may be gone after a power cut",
        ) from error


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one clear error about ``path``."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise EnvironmentProblem(
            f"the model could not be pushed: {error.strerror}",
            received=f"[Errno {error.errno}] {error.strerror}: {where}",
            expected="a model that can be read and a destination that can be written",
            hint=_HINTS.get(error.errno or 0, f"check the owner and the permissions of {where}"),
        ) from error
