"""The server that ``penstock serve`` started: recorded beside each ``models.config`` that it serves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import psutil

from penstock import durable
from penstock.errors import EnvironmentProblem
from penstock.serving.model_config import ModelEntry, ModelsFile
from penstock.serving.places import is_generated


@dataclass(frozen=True)
class RunningServer:
    """A server that was started.

    Attributes:
        pid: Its process.
        started: When that process started, in seconds since 1970; a number may be used again, the pair is not.
        kind: ``official`` or ``embedded``.
        grpc: ``host:port`` of gRPC.
        rest: ``http://host:port`` of REST.
        configs: The ``models.config`` files that it serves, absolute.
        plain: Name → base path of the models that it serves, in their newest version, without standing in a config.
    """

    pid: int
    started: float
    kind: str
    grpc: str
    rest: str
    configs: tuple[str, ...]
    plain: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return bool(process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.started) < 1)
        except psutil.NoSuchProcess:
            return False


def record_file(config: Path) -> Path:
    """Return the path of the record that belongs to a ``models.config``."""
    return config.with_name(f"{config.name}.server")


def describe_process(
    pid: int, kind: str, grpc: str, rest: str, configs: Sequence[Path], plain: Sequence[ModelEntry] = ()
) -> RunningServer:
    """Return the record of a process that runs; ``plain`` are the models that stand in none of its configs."""
    return RunningServer(
        pid=pid,
        started=float(psutil.Process(pid).create_time()),
        kind=kind,
        grpc=grpc,
        rest=rest,
        configs=tuple(str(config.absolute()) for config in configs),
        plain={entry.name: entry.base_path for entry in plain},
    )


def record_server(server: RunningServer) -> None:
    """Write the record beside each config; a later server's takes its place.

    Raises:
        EnvironmentProblem: A folder cannot be written.
    """
    for config in server.configs:
        file = record_file(Path(config))
        try:
            durable.write_text(file, json.dumps(asdict(server), indent=1) + "\n", alone=False)
        except OSError as error:
            raise EnvironmentProblem(
                f"the server's addresses cannot be recorded: {error.strerror or error}", where=str(file)
            ) from error


def forget_server(server: RunningServer) -> None:
    """Remove the records of a server that has ended, and of no other."""
    for config in server.configs:
        if read_record(Path(config)) == server:
            record_file(Path(config)).unlink(missing_ok=True)


def running_server(config: Path) -> RunningServer | None:
    """Return the server that serves a config and whose process is still there, or None."""
    server = read_record(config)
    return server if server is not None and server.alive else None


def entries_of(server: RunningServer) -> list[ModelEntry]:
    """Return what a server serves in all: a reload replaces its whole config.

    Raises:
        ConfigError: A config is malformed.
        EnvironmentProblem: One cannot be read.
    """
    # A hand-written file beside a base path is not what the server was started with.
    configs = [config for config in map(Path, server.configs) if is_generated(config)]
    listed = [entry for config in configs for entry in ModelsFile(config).read()]
    names = {entry.name for entry in listed}
    return [*listed, *(ModelEntry(name, base) for name, base in server.plain.items() if name not in names)]


def read_record(config: Path) -> RunningServer | None:
    """Return what is recorded beside a config, or None."""
    try:
        data = json.loads(record_file(config).read_bytes())
        values = {each.name: data[each.name] for each in fields(RunningServer)}
        return RunningServer(**{**values, "configs": tuple(values["configs"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentProblem(
            "the record of the running server cannot be read",
            where=str(record_file(config)),
            received=f"{type(error).__name__}: {error}",
            hint="remove that file; 'penstock serve' writes it anew",
        ) from error
