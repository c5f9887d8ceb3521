"""A ``models.config`` and, where one is known, the server that runs with it: changed together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from penstock.errors import EnvironmentProblem, PenstockError
from penstock.pipelines.models.entries import Entries, replaced
from penstock.pipelines.models.find import Model, plain_entry
from penstock.serving.client import Client
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, ModelsFile
from penstock.serving.running import RunningServer, entries_of, running_server

_CALL_SECONDS = 60.0
"""A reload waits for models that are new to the server."""


class Live:
    """A model where it is served.

    Args:
        model: The model, as its config has it now.
        client: Asks the server; None when no server is known.
        recorded: The record of that server; None when somebody named it by its address.
    """

    def __init__(self, model: Model, client: Client | None, recorded: RunningServer | None) -> None:
        self.model = model
        self.client = client
        self._recorded = recorded
        self._file = ModelsFile(model.config)
        self.entry = plain_entry(model)
        self._written: list[ModelEntry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.client is not None:
            self.client.close()

    def check_server(self) -> None:
        """Find out whether a server that somebody named runs with this config: a reload replaces all that it serves.

        Raises:
            EnvironmentProblem: It serves something else, or cannot be reached.
            ServingError: It cannot say what it serves.
        """
        if self.client is None or self._recorded is not None:
            return
        for entry in self._file.read() or (self.entry,):
            known = self._known_versions(self.client, entry.name)
            # Versions that failed to load count too: going back is for them.
            if not known or (entry.policy.kind == "specific" and known.isdisjoint(entry.policy.versions)):
                raise EnvironmentProblem(
                    f"the server at {self.client.address} does not run with {self.model.config}",
                    received=_versions(entry.name, known),
                    expected=_versions(entry.name, set(entry.policy.versions)),
                    hint="name the server that does: what another one serves would be replaced",
                )

    @staticmethod
    def _known_versions(client: Client, name: str) -> set[int]:
        try:
            return {status.version for status in client.status(name)}
        except ServingError as error:
            if error.code != Code.NOT_FOUND:
                raise
            return set()

    def change(self, change: Callable[[ModelEntry], ModelEntry]) -> None:
        """Change the model's entry in the file, then in the server."""

        def apply(entries: Entries) -> Entries:
            present = next((entry for entry in entries if entry.name == self.model.name), self.entry)
            self.entry = change(present)
            self._written.append(self.entry)
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
        old = next((entry for entry in before if entry.name == self.model.name), None)

        def restore(entries: Entries) -> Entries:
            if not any(entry in entries for entry in self._written):
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
            self.client.reload(entries_of(self._recorded) if self._recorded is not None else self._file.read())


def live(model: Model, grpc: str | None) -> Live:
    """Return the model with the server to tell: the one named, else the one that ``penstock serve`` recorded.

    Args:
        model: The model.
        grpc: ``host:port``; that server must run with the model's config.
    """
    recorded = running_server(model.config)
    if recorded is not None and grpc in (None, recorded.grpc):
        return Live(model, Client(grpc=recorded.grpc, timeout=_CALL_SECONDS), recorded)
    return Live(model, Client(grpc=grpc, timeout=_CALL_SECONDS) if grpc is not None else None, None)


def _versions(name: str, versions: set[int]) -> str:
    numbers = ", ".join(map(str, sorted(versions)))
    return f"version {numbers} of {name}" if versions else f"no version of {name}"


def _told(error: BaseException) -> str:
    return error.what if isinstance(error, PenstockError) else str(error) or type(error).__name__
