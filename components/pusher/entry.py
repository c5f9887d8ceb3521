"""One model's entry in a models.config that other models share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import ConfigError
from penstock.serving.model_config import ModelEntry, ModelsFile
from penstock.serving.places import changing, lock_file

LOCK_SECONDS = 600.0
"""How long a push waits for others that change the same config: a large model takes minutes to become AVAILABLE."""


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

    @property
    def exists(self) -> bool:
        """Whether there is a models.config, with an entry of this model or without."""
        return self._file.path.exists()

    def check(self) -> None:
        """Find out whether the entry can be read and written, without a change.

        Raises:
            ConfigError: The file is malformed, or the name is another model's.
            EnvironmentProblem: The file is not ours, or cannot be read or written.
        """
        lock_file(self._file.path)
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

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let one push after the other change a server: of two at once, the older config could reach it last.

        Raises:
            EnvironmentProblem: Another process holds it for minutes.
        """
        with changing(self._file.path, LOCK_SECONDS):
            yield
