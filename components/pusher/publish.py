"""Publishes a model as a numbered folder that appears complete or not at all.

TF Serving loads any numbered folder the moment it sees it. So the model is put together in a hidden folder of the same
base path, flushed to disk, asked whether it serves, and renamed; a rename is atomic, and fails when another process
took the number first.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from penstock.components.pusher.config import Version
from penstock.components.pusher.rename import rename_new
from penstock.components.pusher.staging import remove_leftovers, staging_folder
from penstock.components.pusher.versions import choose, exists, remember
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.serving.manifest import MANIFEST, Manifest, walk

_CHUNK = 1 << 20
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_HINTS = {
    errno.ENOSPC: "free some space on that disk, then run again",
    errno.EDQUOT: "free some of your quota on that disk, then run again",
}


Entries: TypeAlias = list[tuple[str, Path]]
"""Files and folders of a version, a folder before what is in it, as (path in the version, path)."""


@dataclass(frozen=True)
class Published:
    """A published version: its number, its absolute path and the digest of its manifest (hexadecimal SHA-256)."""

    version: int
    path: Path
    digest: str


def publish(
    model: Path,
    base: Path,
    version: Version,
    *,
    extra: Mapping[str, bytes] = MappingProxyType({}),
    gate: Callable[[Path], object] | None = None,
    used: Collection[int] = (),
) -> Published:
    """Copy a SavedModel into a new version of a base path; existing versions are never touched.

    Args:
        model: Folder of the SavedModel.
        base: TF Serving base path, made when missing.
        version: ``next``, ``timestamp`` or a positive integer.
        extra: Files of the version besides the model's, or in place of them: path in the version → content.
        gate: Called with the complete copy before it gets its number. What it raises ends the push.
        used: Versions that are known, from elsewhere, to have been there.

    Raises:
        ArtifactError: The folder is no SavedModel, or the wanted version exists.
        EnvironmentProblem: The base path is no folder, cannot be written, or the disk is full.
    """
    with disk(model):
        entries = model_entries(model)
    return publish_files(entries, base, version, extra=extra, gate=gate, used=used)


def publish_files(
    entries: Entries,
    base: Path,
    version: Version,
    *,
    extra: Mapping[str, bytes] = MappingProxyType({}),
    gate: Callable[[Path], object] | None = None,
    used: Collection[int] = (),
) -> Published:
    """Do what :func:`publish` does, for files of any kind.

    Args:
        entries: What to copy.
        base: The base path.
        version: As for :func:`publish`, and so the others.
        extra: Further files.
        gate: Called with the complete copy.
        used: Versions that are known to have been there.
    """
    with disk(base):
        _make_base(base)
        remove_leftovers(base)
        choose(base, version, used)  # A number that is taken is better told before the copy than after it.
        with staging_folder(base) as staged:
            manifest = _copy(entries, extra, staged)
            if gate is not None:
                gate(staged)
            number = _claim(staged, base, version, used)
    path = base / str(number)
    _confirm(path)
    _remember(base, number)
    return Published(version=number, path=path, digest=manifest.digest)


def model_entries(model: Path) -> Entries:
    """Return the files and folders of a SavedModel, sorted.

    Raises:
        ArtifactError: The folder is no SavedModel, or holds what is neither file nor folder.
    """
    if not any((model / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise ArtifactError(
            f"{model} is no SavedModel",
            received=f"a folder with {_listing(model)}" if model.is_dir() else "no such folder",
            expected="a folder with saved_model.pb or saved_model.pbtxt",
            hint="look at the step that exports the model: it must save to the serving folder that it is given",
        )
    return files_of(model)


def files_of(folder: Path) -> Entries:
    """Return the files and folders in a folder, sorted; a manifest of an earlier push is none of them.

    Raises:
        ArtifactError: It holds what is neither file nor folder.
    """
    entries = [(name, path) for name, path in walk(folder) if name != MANIFEST]
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


def _copy(entries: Entries, extra: Mapping[str, bytes], staged: Path) -> Manifest:
    """Copy the entries, write the other files and the manifest, and flush all of it to disk."""
    staged.mkdir()
    files: dict[str, tuple[int, str]] = {}
    for name, source in entries:
        target = staged / name
        if source.is_dir():
            target.mkdir()
        elif name not in extra:
            with disk(target):
                files[name] = _copy_file(source, target)
    for name, content in extra.items():
        _write_extra(staged / name, content)
        files[name] = (len(content), hashlib.sha256(content).hexdigest())
    manifest = Manifest(files)
    _write_extra(staged / MANIFEST, manifest.to_bytes())
    for folder in (staged, *(path for _, path in walk(staged) if path.is_dir())):
        _flush(folder)
    return manifest


def _write_extra(target: Path, content: bytes) -> None:
    with disk(target):
        target.parent.mkdir(exist_ok=True)
        _write(target, iter([content]))


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


def _claim(staged: Path, base: Path, version: Version, used: Collection[int]) -> int:
    """Rename the staged model to its version and return the number; who loses a race takes the following one."""
    while True:
        number = choose(base, version, used)
        try:
            rename_new(staged, base / str(number))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            if isinstance(version, int):
                raise exists(base / str(number), number) from error
        else:
            return number


def _remember(base: Path, number: int) -> None:
    try:
        remember(base, number)
    except OSError as error:
        # The version is published, and its folder keeps the number as long as nobody removes it.
        logging.getLogger(__name__).warning("cannot write down that version %d is used: %s", number, error)


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
def disk(path: Path | str) -> Iterator[None]:
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
