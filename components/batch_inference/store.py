"""The folder that the processes of a run share: on a file system that all of them see, or in an object store."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import portalocker

from penstock import durable
from penstock.components.batch_inference import remote_files
from penstock.components.batch_inference.places import Place, Url
from penstock.errors import EnvironmentProblem

_LOCK = ".lock"
_LOG = logging.getLogger(__name__)


class Store(Protocol):
    """Files by their names, which may have slashes. Travels between processes.

    Attributes:
        where: Its path or URL.
        pause: Seconds that are well spent between two looks, or two notes of how far something is.
        disk: A folder on the disk on which files are made.
    """

    @property
    def where(self) -> str:
        """Its path or URL."""

    @property
    def pause(self) -> float:
        """Seconds that are well spent between two looks, or two notes of how far something is."""

    @property
    def disk(self) -> str:
        """A folder on the disk on which files are made."""

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, None if it is not there."""

    def write(self, name: str, content: bytes, *, lasting: bool = True) -> None:
        """Write a file in one step.

        Args:
            name: The file; one of that name is replaced.
            content: What it holds.
            lasting: Whether it is to be there after the power has failed.
        """

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without it, sorted."""

    def partial(self, name: str) -> Path:
        """Return a path of this machine at which a file may be made: nobody else's."""

    def keep(self, made: Path, name: str) -> None:
        """Take in, in one step, a file that was made at :meth:`partial`."""

    def clear(self, *folders: str) -> None:
        """Make folders empty."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out, as far as that can be done; the store is made.

        Raises:
            EnvironmentProblem: Another run is at work there.
        """

    def publish(self, folder: str, output: Place, last: tuple[str, bytes]) -> None:
        """Let the files of a folder be the output, in place of what was there.

        Args:
            folder: A folder of the store.
            output: What it becomes.
            last: Name and content of a file of it that says that all others are there.

        Raises:
            EnvironmentProblem: The output cannot be written.
        """

    def remove(self) -> None:
        """Remove all of it; what cannot be removed does no harm."""


@dataclass(frozen=True)
class FolderStore:
    """A folder of this machine, or one that all workers see at the same path. An output appears by one rename.

    Attributes:
        where: Its path.
    """

    where: str
    pause: float = 0.5

    @property
    def disk(self) -> str:
        """The folder itself."""
        return self.where

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, None if it is not there."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes, *, lasting: bool = True) -> None:
        """Write a file in one step."""
        path = self._path(name)
        if lasting:
            durable.write_beside(path, lambda partial: partial.write_bytes(content), alone=False)
            return
        partial = self.partial(path.name)
        partial.write_bytes(content)
        partial.replace(path)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder; those that are being written are none."""
        path = self._path(folder)
        return sorted(child.name for child in path.iterdir() if not child.name.startswith(".")) if path.is_dir() else []

    def partial(self, name: str) -> Path:
        """Return a path on the same file system, so that a rename takes the file in."""
        return self._path("partial") / f"{os.getpid()}-{uuid.uuid4().hex}-{name}"

    def keep(self, made: Path, name: str) -> None:
        """Flush a file, and give it its name."""
        durable.sync(made)
        path = self._path(name)
        made.replace(path)
        durable.sync(path.parent)

    def clear(self, *folders: str) -> None:
        """Make folders empty."""
        for name in (*folders, "partial"):
            shutil.rmtree(self._path(name), ignore_errors=True)
            self._path(name).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder, which is made."""
        self._path("").mkdir(parents=True, exist_ok=True)
        lock = portalocker.Lock(str(self._path(_LOCK)), timeout=0, fail_when_locked=True)
        try:
            lock.acquire()
        except portalocker.exceptions.LockException as error:
            raise EnvironmentProblem(
                "another run writes the same output now",
                where=self.where,
                hint="wait until it has ended, or choose another output folder",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def publish(self, folder: str, output: Place, last: tuple[str, bytes]) -> None:
        """Rename the folder: the output is there all at once."""
        made, final = self._path(folder), Path(str(output))
        name, content = last
        durable.write_beside(made / name, lambda partial: partial.write_bytes(content))
        durable.sync_tree(made)
        try:
            if final.is_dir() and any(final.iterdir()):
                durable.rename_over(made, final)
            else:
                made.rename(final)  # An empty folder of that name gives way.
                durable.sync(final.parent)
        except OSError as error:
            raise EnvironmentProblem(
                f"the output cannot be renamed: {error.strerror}",
                where=str(output),
                expected=f"a path on the file system of {self.where}",
            ) from error

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.where, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return Path(self.where, name)


@dataclass(frozen=True)
class UrlStore:
    """A folder behind a URL. Files are made on a worker's disk and uploaded; an output is there when its last file is.

    Nothing there can be locked: a run writes down who it is, and publishes nothing once another one has.

    Attributes:
        where: Its URL.
        owner: This run.
    """

    where: str
    pause: float = 10.0
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def disk(self) -> str:
        """The worker's folder for temporary files."""
        return tempfile.gettempdir()

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, None if it is not there."""
        return remote_files.read_url(f"{self.where}/{name}")

    def write(self, name: str, content: bytes, *, lasting: bool = True) -> None:  # noqa: ARG002  All of it lasts.
        """Write a file in one step."""
        remote_files.write_url(f"{self.where}/{name}", content)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder."""
        return [url.rpartition("/")[2] for url in remote_files.matching(f"{self.where}/{folder}/*")]

    def partial(self, name: str) -> Path:
        """Return a path on this machine's own disk."""
        return Path(self.disk, f"penstock-{os.getpid()}-{uuid.uuid4().hex}-{name}")

    def keep(self, made: Path, name: str) -> None:
        """Upload a file."""
        remote_files.upload(made, f"{self.where}/{name}")
        made.unlink()

    def clear(self, *folders: str) -> None:
        """Make folders empty."""
        for name in folders:
            remote_files.delete(list(remote_files.matching(f"{self.where}/{name}/*")))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Write down who is at work."""
        self.write(_LOCK, self.owner.encode())
        yield

    def publish(self, folder: str, output: Place, last: tuple[str, bytes]) -> None:
        """Copy the files inside the store, the last one last; it goes first where there was one."""
        self._require_owner()
        name, content = last
        before = [url for url in remote_files.matching(f"{output}/*") if url.rpartition("/")[2] != name]
        if remote_files.read_url(f"{output}/{name}") is not None:
            remote_files.delete([f"{output}/{name}"])
        remote_files.delete(before)
        names = self.names(folder)
        remote_files.copy_all(names, f"{self.where}/{folder}", str(output))
        self._require_copied(folder, output)
        remote_files.write_url(f"{output}/{name}", content)

    def remove(self) -> None:
        """Remove all files of it."""
        try:
            remote_files.delete_folder(self.where)
        except EnvironmentProblem as error:
            _LOG.warning("what the run needed stays: %s", error)

    def _require_owner(self) -> None:
        if self.read(_LOCK) != self.owner.encode():
            raise EnvironmentProblem(
                "another run has begun to write the same output",
                where=self.where,
                hint="wait until it has ended, and run again, or choose another output folder",
            )

    def _require_copied(self, folder: str, output: Place) -> None:
        there = {url.rpartition("/")[2]: file.size for url, file in remote_files.matching(f"{output}/*").items()}
        for url, file in remote_files.matching(f"{self.where}/{folder}/*").items():
            if there.get(url.rpartition("/")[2]) != file.size:
                raise EnvironmentProblem(
                    "a file is not in the output as it was copied there",
                    where=str(output / url.rpartition("/")[2]),
                    received=f"{there.get(url.rpartition('/')[2], 'no')} bytes",
                    expected=f"{file.size} bytes",
                    hint="run again: what is finished is kept",
                )


def store_at(place: Place) -> Store:
    """Return the store at a place."""
    return UrlStore(str(place)) if isinstance(place, Url) else FolderStore(str(place))
