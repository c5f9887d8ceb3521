"""Brings a published version into service: version there, AVAILABLE, then the label, then the others go.

A server attaches a label only to a version that is AVAILABLE, and a request to a label whose version is gone fails. So
each step is a config of its own, and the next one is written only when the server has done the one before. Whatever
fails, the config of before is put back, and with it what the server did.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from penstock.components.pusher.entry import LOCK_SECONDS, Entry
from penstock.components.pusher.labels import check_labels, overtaken, placed
from penstock.components.pusher.service import WAIT_SECONDS, Connect, Server, Service, connect, with_running_server
from penstock.components.pusher.standing import asked_for, configs_of, labels_of, serving_also, standing
from penstock.errors import EnvironmentProblem, PenstockError
from penstock.reporting import note, status
from penstock.serving.errors import Code, ServingError
from penstock.serving.label_history import moved, named_versions, record_move
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.state import State
from penstock.serving.places import changing, point_to_config
from penstock.serving.running import entries_of

_UNCONFIRMED = (
    "no server is known: a TensorFlow Serving that runs with this config already refuses a label on a version that it "
    "has not loaded; name it (destination.tf_serving.grpc, or --grpc) to move labels safely"
)

_ADVICE = "read the server's log"


@contextmanager
def in_service(
    service: Service, present: Callable[[], Collection[int]], connect: Connect = connect
) -> Iterator[RollOut]:
    """Check what can be checked before anything is published, and yield what brings the version into service.

    Args:
        service: What is served.
        present: Returns the versions in the base path.
        connect: Reaches the server.

    Raises:
        ConfigError: The models.config is malformed, or the name is another model's.
        EnvironmentProblem: The models.config is not ours or cannot be written, or the server cannot be reached.
    """
    entry = Entry(service.name, service.base, service.config) if service.config is not None else None
    if entry is not None:
        entry.check()
    service = with_running_server(service)
    server = connect(service) if service.grpc else None
    try:
        roll_out = RollOut(service, entry, present, server)
        roll_out.check()
        yield roll_out
    finally:
        if server is not None:
            server.close()


class RollOut:
    """Moves a server from one version to the next; made by :func:`in_service`."""

    def __init__(
        self,
        service: Service,
        entry: Entry | None,
        present: Callable[[], Collection[int]],
        server: Server | None,
    ) -> None:
        self._service = service
        self._entry = entry
        self._present = present
        self._server = server
        self._began = labels_of(self._before())

    def check(self) -> None:
        """Find out before the push whether the server answers."""
        try:
            self._served_now()
        except ServingError as error:
            raise EnvironmentProblem(
                f"the server cannot say what it serves: {error}", where=self._service.grpc, expected="a model server"
            ) from error

    def check_labels(self, version: int | None) -> None:
        """Refuse labels on versions that are not there.

        Args:
            version: The number that the new version will have, None where it is not known yet.

        Raises:
            ArtifactError: A label would name a version that is not there.
        """
        present = {*self._present(), *(() if version is None else (version,))}
        check_labels(self._service.labels, labels_of(self._before()), present)

    def used(self) -> set[int]:
        """Return the versions that the config or its history names, whether they are there or not."""
        entry, config = self._before(), self._service.config
        named = named_versions(config, self._service.name) if config is not None else set()
        return named if entry is None else {*named, *entry.policy.versions, *entry.labels.values()}

    def alone(self) -> AbstractContextManager[None]:
        """Keep promotions and other pushes away for the time of a block."""
        return self._entry.held() if self._entry is not None else nullcontext()

    def run(self, version: int, published: str | None = None) -> Mapping[str, int]:
        """Serve a version that is published.

        Args:
            version: The version.
            published: What an error says of it, besides its number.

        Returns:
            Label → version, as they are now.

        Raises:
            EnvironmentProblem: The version did not become AVAILABLE or the config could not be written; the config of
                before is back.
        """
        if self._entry is None:
            with self._or_else(lambda: "nothing else was changed", version, published):
                self._wait(version, self._service.wait_seconds)
            return {}
        with ExitStack() as stack:
            with self._or_else(lambda: "nothing else was changed", version, published):
                stack.enter_context(self._entry.held())
                before = self._before()
            with self._or_else(lambda: self._put_back(before), version, published):
                self.check_labels(version)
                final = self._final(before, version)
                self._steps(before, final, version)
            self._remember(before, final)
        return final.labels

    def prune(self, keep: int, version: int, remove: Callable[[int, Collection[int]], tuple[int, ...]]) -> list[int]:
        """Remove old versions while nobody can change what is needed; a failure is told only, as the push is done.

        Args:
            keep: Newest versions that stay, a count.
            version: The one that was pushed; it stays.
            remove: Removes all but the newest and the needed, and returns what it removed.
        """
        service = self._service
        try:
            configs = configs_of(service.base, service.config)
            with ExitStack() as stack:
                for config in sorted(configs):
                    stack.enter_context(changing(config, LOCK_SECONDS))
                needed = standing(service.base, configs, self._present())
                return list(remove(keep, {version, *needed, *self._served_now()}))
        except (PenstockError, ServingError) as error:
            note(f"older versions stay: {error}")
            return []

    def _served_now(self) -> set[int]:
        """Return the versions that the server answers with, or is about to."""
        if self._server is None:
            return set()
        try:
            statuses = self._server.status(self._service.name)
        except ServingError as error:
            if error.code == Code.NOT_FOUND:  # A model that has never been served is none the server knows.
                return set()
            raise
        return {one.version for one in statuses if one.state not in (State.UNLOADING, State.END)}

    def _steps(self, before: ModelEntry | None, final: ModelEntry, version: int) -> None:
        self._point_here()
        seconds = self._service.wait_seconds
        if self._server is None:
            if self._entry is not None and self._entry.exists and final.labels != labels_of(before):
                note(_UNCONFIRMED)
            # Nobody says when the server has the labels of this file, so what they named before stays with it.
            self._write(serving_also(final, set(labels_of(before).values()) & set(self._present())))
            return
        if final.policy.kind == "specific":
            seconds = seconds or WAIT_SECONDS
            both = serving_also(final, self._served(before, version))
            self._apply(replace(both, labels=labels_of(before)))
            self._wait(version, seconds)
            self._apply(both)
        self._apply(final)
        self._wait(version, seconds)

    def _point_here(self) -> None:
        """Let the base path name its config; one in an object store is found by its config alone."""
        base = Path(self._service.base)
        if self._service.config is not None and base.is_dir():
            point_to_config(base, self._service.config)

    def _remember(self, before: ModelEntry | None, final: ModelEntry) -> None:
        """Write down where the labels were: a rollback goes there. The version is in service, with or without that."""
        for label, version in final.labels.items():
            was = labels_of(before).get(label)
            if was != version and self._service.config is not None:
                try:
                    record_move(self._service.config, moved(final.name, label, was, version, "push"))
                except PenstockError as error:
                    note(str(error))

    def _final(self, before: ModelEntry | None, version: int) -> ModelEntry:
        service, was = self._service, labels_of(before)
        labels = placed(service.labels, self._began, was, version)
        for label, value in service.labels.items():
            if value in ("this", "latest") and overtaken(label, self._began, was, version):
                note(f"label {label!r} stays at version {was[label]}, to which it has moved while this push went on")
        entry = ModelEntry(service.name, service.base, labels=labels)
        if not labels and not service.names_versions:
            return entry
        return replace(entry, policy=VersionPolicy("specific", versions=tuple(sorted({version, *labels.values()}))))

    def _served(self, before: ModelEntry | None, version: int) -> Collection[int]:
        """Return the versions of the config of before that are there; the newest of then where it asked for that."""
        return asked_for(before, set(self._present()) - {version}) if before is not None else ()

    def _apply(self, entry: ModelEntry) -> None:
        """Write a config and make the server take it; an equal one is neither."""
        if self._before() != entry:
            self._reload(self._write(entry))

    def _before(self) -> ModelEntry | None:
        """Return this model's entry as it is."""
        return self._entry.read() if self._entry is not None else None

    def _write(self, entry: ModelEntry | None) -> tuple[ModelEntry, ...]:
        """Put this model's entry into the config, or take it out, and return the entries of all models."""
        return self._entry.write(entry) if self._entry is not None else ()

    def _reload(self, entries: tuple[ModelEntry, ...]) -> None:
        if self._server is not None:
            running = self._service.running
            self._server.reload(entries if running is None else entries_of(running))

    def _wait(self, version: int, seconds: float | None) -> None:
        if self._server is not None and seconds is not None:
            status(f"waiting until version {version} of {self._service.name} is AVAILABLE")
            self._server.wait_available(self._service.name, version, seconds)

    @contextmanager
    def _or_else(self, undo: Callable[[], str], version: int, published: str | None) -> Iterator[None]:
        """When a step of the block fails, undo what it did and say what is the case now."""
        try:
            yield
        except (PenstockError, ServingError) as error:
            told = error if isinstance(error, PenstockError) else EnvironmentProblem(str(error))
            details = [published, told.received]
            raise EnvironmentProblem(
                f"version {version} of {self._service.name} is published, but not in service: {told.what}",
                where=told.where or self._service.grpc,
                received="; ".join(filter(None, details)) or None,
                expected=told.expected or "a server that serves the new version",
                hint=f"{undo()}; {told.hint or _ADVICE}, then push again",
            ) from error

    def _put_back(self, before: ModelEntry | None) -> str:
        try:
            self._reload(self._write(before))
        except (PenstockError, ServingError) as error:
            return f"the config of before could not be put back ({error})"
        return "the config of before is back"
