"""A ``models.config`` and, where one is known, the server that runs with it: changed together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from penstock.errors import EnvironmentProblem, PenstockError
from penstock.pipelines.models.entries import Entries, replaced
from penstock.pipelines.models.find import Model, plain_entry
from penstock.serving.client import Client
from penstock.serving.errors import ServingError
from penstock.serving.model_config import ModelEntry, ModelsFile
from penstock.serving.running import running_server

_CALL_SECONDS = 60.0
"""A reload waits for models that are new to the server."""


class Live:
    """A model where it is served.

    Args:
        model: The model.
        client: Asks the server; None when no server is known.
        configs: All ``models.config`` files that the server runs with: a reload replaces its whole config.
    """

    def __init__(self, model: Model, client: Client | None, configs: tuple[Path, ...]) -> None:
        self.model = model
        self.client = client
        self._configs = configs
        self._file = ModelsFile(model.config)
        self.entry = plain_entry(model)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.client is not None:
            self.client.close()

    def refresh(self) -> None:
        """Read the model's entry again: it may have changed while somebody else held the lock."""
        self.entry = next((entry for entry in self._file.read() if entry.name == self.model.name), self.entry)

    def change(self, change: Callable[[ModelEntry], ModelEntry]) -> None:
        """Change the model's entry in the file, then in the server."""

        def apply(entries: Entries) -> Entries:
            present = next((entry for entry in entries if entry.name == self.model.name), self.entry)
            self.entry = change(present)
            return replaced(entries, self.entry)

        self._file.update(apply)
        self._reload()

    @contextmanager
    def kept_on_failure(self) -> Iterator[None]:
        """Put the entry back as it was, in the file and in the server, when the block fails.

        Raises:
            EnvironmentProblem: It failed, and the entry could not be put back.
        """
        before = self._file.read()
        try:
            yield
        except BaseException as error:
            problem = self._put_back(before)
            if problem is not None:
                raise self._half_way(error, problem) from error
            raise

    def _half_way(self, first: BaseException, second: Exception) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"a change of {self.model.name} failed, and what it had begun could not be taken back",
            where=str(self.model.config),
            received=f"{_told(first)}; then: {_told(second)}",
            hint="the labels that the server has still answer; look at the server, then run the command again",
        )

    def _put_back(self, before: Entries) -> Exception | None:
        """Return why the entry could not be put back, or None."""
        written = self.entry
        old = next((entry for entry in before if entry.name == self.model.name), None)

        def restore(entries: Entries) -> Entries:
            if written not in entries:
                return entries  # Nothing was written yet, or another process has changed it since: its wish counts.
            if old is not None:
                return replaced(entries, old)
            return tuple(entry for entry in entries if entry.name != self.model.name)

        try:
            self._file.update(restore)
        except PenstockError as error:
            return error
        try:
            self._reload()
        except ServingError as error:
            return error
        except EnvironmentProblem:
            # The file is as it was. A server that cannot be told has gone, and will start again with that file.
            return None
        return None

    def _reload(self) -> None:
        if self.client is not None:
            self.client.reload([entry for config in self._configs for entry in ModelsFile(config).read()])


def live(model: Model, grpc: str | None) -> Live:
    """Return the model with the server to tell: the one named, else the one that ``penstock serve`` recorded.

    Args:
        model: The model.
        grpc: ``host:port``; that server must run with the model's config.
    """
    recorded = running_server(model.config)
    address = grpc or (recorded.grpc if recorded else None)
    if address is None:
        return Live(model, None, ())
    of_record = recorded is not None and recorded.grpc == address
    configs = tuple(map(Path, recorded.configs)) if recorded is not None and of_record else (model.config,)
    return Live(model, Client(grpc=address, timeout=_CALL_SECONDS), configs)


def _told(error: BaseException) -> str:
    return error.what if isinstance(error, PenstockError) else str(error) or type(error).__name__
