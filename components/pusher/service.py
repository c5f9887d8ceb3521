"""Brings a published version into service: version there, AVAILABLE, then the label, then the others go.

A server attaches a label only to a version that is AVAILABLE, and a request to a label whose version is gone fails. So
each step is a config of its own, and the next one is written only when the server has done the one before. Whatever
fails, the config of before is put back, and with it what the server did.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeAlias

from penstock.components.pusher.config import LabelValue
from penstock.components.pusher.entry import Entry
from penstock.components.pusher.labels import check_labels, placed
from penstock.components.pusher.words import is_url
from penstock.errors import EnvironmentProblem, PenstockError
from penstock.reporting import note, status
from penstock.serving.errors import Code, ServingError
from penstock.serving.label_history import moved, record_move, version_before
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy, is_generated
from penstock.serving.models.state import VersionStatus
from penstock.serving.running import running_server

WAIT_SECONDS = 60.0
"""How long a version may take to become AVAILABLE where labels depend on it and nothing else is said."""


class Server(Protocol):
    """What is asked of a running server; :class:`penstock.serving.client.Client` is one."""

    def status(self, model: str) -> list[VersionStatus]:
        """Return the states of a model's versions."""

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the whole config."""

    def wait_available(self, model: str, version: int, timeout: float) -> None:
        """Return when a version is AVAILABLE."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True)
class Service:
    """What is served, where and under which labels.

    Attributes:
        name: The model's name on the server.
        base: Base path, absolute or a URL.
        config: The models.config that the server runs with; None where there is none to keep.
        grpc: Address of the running server; None: the one that ``penstock serve`` started on the config, if any.
        labels: Label → ``this``, ``latest``, ``keep`` or a version.
        wait_seconds: How long to wait for AVAILABLE; None: only where labels depend on it.
        other_configs: Other models.config that the same server runs with: a reload that left them out would end their
            models.
    """

    name: str
    base: str
    config: Path | None = None
    grpc: str | None = None
    labels: Mapping[str, LabelValue] = field(default_factory=dict)
    wait_seconds: float | None = None
    other_configs: tuple[Path, ...] = ()

    @property
    def names_versions(self) -> bool:
        """Whether versions are served because the config names them, not because they are there."""
        return bool(self.labels) or is_url(self.base)


_UNCONFIRMED = (
    "labels moved in the config, and no server is known that would confirm it: one that runs already refuses a label "
    "on a version that it has not loaded; name it (destination.tf_serving.grpc) or use penstock serve"
)
Connect: TypeAlias = Callable[[Service], Server]


def connect(service: Service) -> Server:
    """Return a client of the service's server. A call may take as long as a version to load: a reload waits for it."""
    from penstock.serving.client import Client

    return Client(grpc=service.grpc, timeout=service.wait_seconds or WAIT_SECONDS)


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
    service = _with_running_server(service)
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

    def check(self) -> None:
        """Find out before the push whether the server answers."""
        if self._server is not None:
            try:
                self._server.status(self._service.name)
            except ServingError as error:
                if error.code != Code.NOT_FOUND:  # A model that has never been served is none the server knows.
                    raise self._not_ready(error) from error

    def check_labels(self, version: int | None) -> None:
        """Refuse labels on versions that are not there.

        Args:
            version: The number that the new version will have, None where it is not known yet.

        Raises:
            ArtifactError: A label would name a version that is not there.
        """
        present = {*self._present(), *(() if version is None else (version,))}
        check_labels(self._service.labels, _labels(self._before()), present)

    def run(self, version: int) -> Mapping[str, int]:
        """Serve a version that is published.

        Returns:
            Label → version, as they are now.

        Raises:
            EnvironmentProblem: The version did not become AVAILABLE or the config could not be written; the config of
                before is back.
        """
        if self._entry is None:
            with self._or_back(version, None):
                self._wait(version, self._service.wait_seconds)
            return {}
        with self._entry.held():
            before = self._before()
            final = self._final(before, version)
            with self._or_back(version, before):
                self._steps(before, final, version)
        return final.labels

    def alone(self) -> AbstractContextManager[None]:
        """Keep promotions and other pushes away for the time of a block."""
        return self._entry.held() if self._entry is not None else nullcontext()

    def needed(self) -> set[int]:
        """Return the versions that the config names, by number or by label, and those that a rollback would go to."""
        entry, service = self._before(), self._service
        if entry is None or service.config is None:
            return _named_beside(service.base)
        before = {version_before(service.config, service.name, label, now) for label, now in entry.labels.items()}
        return {*entry.policy.versions, *entry.labels.values(), *(version for version in before if version is not None)}

    def _steps(self, before: ModelEntry | None, final: ModelEntry, version: int) -> None:
        seconds = self._service.wait_seconds
        if self._server is None:
            # Nobody says when the server has the labels of this file, so what they named before stays with it.
            if any(_labels(before).get(label, version) != version for label, version in final.labels.items()):
                note(_UNCONFIRMED)
            self._write(_serving(final, set(_labels(before).values()) & set(self._present())))
            self._record(before, final)
            return
        if final.policy.kind == "specific":
            seconds = seconds or WAIT_SECONDS
            both = _serving(final, self._served(before))
            self._apply(replace(both, labels=_labels(before)))
            self._wait(version, seconds)
            self._apply(both)
        self._apply(final)
        self._wait(version, seconds)
        self._record(before, final)

    def _record(self, before: ModelEntry | None, final: ModelEntry) -> None:
        """Remember where the labels were: a rollback goes there."""
        for label, version in final.labels.items():
            was = _labels(before).get(label)
            if was != version and self._service.config is not None:
                record_move(self._service.config, moved(final.name, label, was, version, "push"))

    def _final(self, before: ModelEntry | None, version: int) -> ModelEntry:
        service = self._service
        labels = placed(service.labels, _labels(before), version)
        entry = ModelEntry(service.name, service.base, labels=labels)
        if not labels and not service.names_versions:
            return entry
        served = {version, max([version, *self._present()]), *labels.values()}
        return replace(entry, policy=VersionPolicy("specific", versions=tuple(sorted(served))))

    def _served(self, before: ModelEntry | None) -> Collection[int]:
        """Return the versions of the config of before that are there."""
        present = sorted(self._present())
        if before is None:
            return ()
        match before.policy.kind:
            case "specific":
                return set(before.policy.versions) & set(present)
            case "all":
                return present
            case _:
                return present[-before.policy.count - 1 :]  # The new version is among them.

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
            others = [entry for config in self._service.other_configs for entry in ModelsFile(config).read()]
            self._server.reload([*entries, *others])

    def _wait(self, version: int, seconds: float | None) -> None:
        if self._server is not None and seconds is not None:
            status(f"waiting until version {version} of {self._service.name} is AVAILABLE")
            self._server.wait_available(self._service.name, version, seconds)

    @contextmanager
    def _or_back(self, version: int, before: ModelEntry | None) -> Iterator[None]:
        """When a step of the block fails, put the config of before back and say what is the case now."""
        try:
            yield
        except (PenstockError, ServingError) as error:
            what = error.what if isinstance(error, PenstockError) else str(error)
            raise EnvironmentProblem(
                f"version {version} of {self._service.name} is published, but not in service: {what}",
                where=self._service.grpc,
                received=error.received if isinstance(error, PenstockError) else None,
                expected="a server that serves the new version",
                hint=f"{self._put_back(before)}; read the server's log, then push again",
            ) from error

    def _put_back(self, before: ModelEntry | None) -> str:
        if self._entry is None:
            return "nothing else was changed"
        try:
            self._reload(self._write(before))
        except (PenstockError, ServingError) as error:
            return f"the config of before could not be put back ({error})"
        return "the config of before is back"

    def _not_ready(self, error: ServingError) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"the server cannot say what it serves: {error}", where=self._service.grpc, expected="a model server"
        )


def _with_running_server(service: Service) -> Service:
    """Return the service with the address of its server, found beside the config where nobody gave it."""
    running = running_server(service.config) if service.config is not None and service.grpc is None else None
    if running is not None:
        others = tuple(config for config in map(Path, running.configs) if config != service.config)
        return replace(service, grpc=running.grpc, other_configs=others)
    if service.grpc is None and service.wait_seconds is not None:
        note(f"no server that is known runs with {service.config}: there is nothing to wait for")
    return service


def _named_beside(base: str) -> set[int]:
    """Return the versions that a models.config beside the base path names, which another step or a command wrote."""
    file = Path(base).absolute().parent / "models.config"
    if is_url(base) or not is_generated(file):
        return set()
    entries = [entry for entry in ModelsFile(file).read() if entry.base_path.rstrip("/") == base.rstrip("/")]
    return {version for entry in entries for version in (*entry.policy.versions, *entry.labels.values())}


def _labels(entry: ModelEntry | None) -> Mapping[str, int]:
    return entry.labels if entry is not None else {}


def _serving(entry: ModelEntry, also: Collection[int]) -> ModelEntry:
    """Return the entry with more versions; one that serves whatever is newest stays as it is."""
    if entry.policy.kind != "specific":
        return entry
    versions = tuple(sorted({*entry.policy.versions, *also}))
    return replace(entry, policy=VersionPolicy("specific", versions=versions))
