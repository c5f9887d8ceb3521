"""One model's entry in a models.config that other models share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving.model_config import ModelEntry, ModelsFile

_LOCK_SECONDS = 600


class Entry:
    """The entry of one model.

    Args:
        name: The model's name.
        base: Its base path, absolute or a URL.
        config: The models.config.
    """

    def __init__(self, name: str, base: str, config: Path) -> None:
        self._name = name
        self._base = base
        self._file = ModelsFile(config)

    def check(self) -> None:
        """Find out whether the entry can be read and written, without a change.

        Raises:
            ConfigError: The file is malformed, or the name is another model's.
            EnvironmentProblem: The file is not ours, or cannot be read or written.
        """
        self._make_lock()
        if self._file.path.exists():
            self._file.update(lambda entries: entries)
        self.read()

    def read(self) -> ModelEntry | None:
        """Return the entry, None when there is none yet.

        Raises:
            ConfigError: The file is malformed, or the name is another model's.
        """
        entry = next((entry for entry in self._file.read() if entry.name == self._name), None)
        if entry is not None and entry.base_path.rstrip("/") != self._base.rstrip("/"):
            raise ConfigError(
                f"model {entry.name!r} is another one: {self._file.path} serves it from another base path",
                received=self._base,
                expected=entry.base_path,
                hint="choose another `model_name`, or another `destination.config`",
            )
        return entry

    def write(self, entry: ModelEntry | None) -> tuple[ModelEntry, ...]:
        """Put an entry into the file in place of the present one, or take that out, and return those of all models."""

        def changed(entries: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
            if entry is None:
                return tuple(other for other in entries if other.name != self._name)
            if all(other.name != self._name for other in entries):
                return (*entries, entry)
            return tuple(entry if other.name == self._name else other for other in entries)

        return self._file.update(changed)

    def _make_lock(self) -> Path:
        path = self._file.path
        lock = path.with_name(f".{path.name}.push-lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.touch()
        except OSError as error:
            raise EnvironmentProblem(
                f"{path} cannot be written: {error.strerror}",
                received=str(error.filename or path.parent),
                expected="a folder that can be written",
                hint="check its owner, its permissions and its free space, or choose another `destination.config`",
            ) from error
        return lock

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let one push after the other change a server: of two at once, the older config could reach it last.

        Raises:
            EnvironmentProblem: Another push holds it for minutes.
        """
        lock = portalocker.Lock(self._make_lock(), "a", timeout=_LOCK_SECONDS)
        try:
            lock.acquire()
        except portalocker.LockException as error:
            raise EnvironmentProblem(
                f"another push has been changing {self._file.path} for {_LOCK_SECONDS // 60} minutes",
                received=f"no access to {lock.filename}",
                expected="one push after the other",
                hint="look for a push that hangs",
            ) from error
        try:
            yield
        finally:
            lock.release()
