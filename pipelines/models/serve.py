"""Starts a model server on what was pushed: the official one when it is there, else the embedded one."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock import durable
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.models.batching import plan_batching
from penstock.pipelines.models.entries import Entries
from penstock.pipelines.models.find import Model, plain_entry
from penstock.pipelines.models.follow import Follower, merged_entries
from penstock.pipelines.models.process import ServerProcess, started
from penstock.serving.addresses import address, bound, from_here
from penstock.serving.client import Client
from penstock.serving.errors import ServingError
from penstock.serving.model_config import format_models, format_monitoring
from penstock.serving.official import ServeOptions, find_official, official_command, server_flags
from penstock.serving.places import CONFIG_NAME
from penstock.serving.running import RunningServer, describe_process, forget_server, record_server, running_server

LOG_NAME = "server.log"
EMBEDDED = (sys.executable, "-m", "penstock.serving.server")
_LOOK_SECONDS = 0.1
_FOLLOW_SECONDS = 1.0
_RELOAD_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What to serve, and how.

    Attributes:
        models: The models.
        host: Address to bind.
        grpc_port: Port of gRPC; 0 takes a free one.
        rest_port: Port of REST; 0 takes a free one.
        batching: Whether to put requests together.
    """

    models: tuple[Model, ...]
    host: str = "127.0.0.1"
    grpc_port: int = 8500
    rest_port: int = 8501
    batching: bool = False

    @property
    def own_config(self) -> Path | None:
        """The one file that the server can run with as it is; None when the models stand in several, or in none."""
        configs = {model.config for model in self.models}
        if len(configs) == 1 and all(model.entry is not None for model in self.models):
            return configs.pop()
        return None


def serve(wanted: Wanted, folder: Path, say: Say) -> int:
    """Run a server until it ends or is interrupted, which it answers by draining.

    Args:
        wanted: What to serve.
        folder: Where the generated config files and the server's log go.
        say: Told what goes on, a line.

    Returns:
        The server's exit code.

    Raises:
        ConfigError: Two models have one name.
        EnvironmentProblem: A port is in use, or a file cannot be written.
    """
    binary = find_official()
    check_bases(wanted.models, embedded=binary is None)
    options = prepare(wanted, folder)
    kind = "official" if binary else "embedded"
    command = official_command(binary, options) if binary else embedded_command(options)
    log = folder / LOG_NAME
    for model in wanted.models:
        say(_announced(model))
    for note in batching_notes(wanted):
        say(note)
    say(f"{_which(binary, options)} Its log: {log}")
    with started(command, log) as process:
        served = _watch(process, wanted, options, kind, say)
        code = process.code()
    if code and process.interrupted:
        say("Interrupted while it drained." if served else "Interrupted before the server had started.")
    elif code:
        say(f"The server ended with exit code {code}; its last lines:\n{process.last_lines()}")
    return code


def check_bases(models: Sequence[Model], *, embedded: bool) -> None:
    """Refuse base paths without a version, which a server would wait for without an end, or that it cannot read.

    Raises:
        ConfigError: There is such a base path.
    """
    empty = [model for model in models if model.local and not model.versions()]
    if empty:
        raise ConfigError(
            f"nothing has been pushed yet for {', '.join(model.name for model in empty)}",
            where=empty[0].base,
            expected="a folder with a version",
            hint="run the pipeline first, or name what to serve: penstock serve WHERE",
        )
    remote = [model for model in models if not model.local]
    if embedded and remote:
        raise ConfigError(
            f"the embedded server reads folders only, and {remote[0].name} is in an object store",
            where=remote[0].base,
            expected="tensorflow_model_server on PATH, or its image",
            hint="penstock serve --print-command prints how to start them",
        )


def prepare(wanted: Wanted, folder: Path) -> ServeOptions:
    """Check what can be checked before a server starts, write its config files, and return its options."""
    entries = merged_entries(wanted.models)
    return write_configs(wanted, entries, folder, _free_ports(wanted.host, wanted.grpc_port, wanted.rest_port))


def write_configs(wanted: Wanted, entries: Entries, folder: Path, ports: tuple[int, int]) -> ServeOptions:
    """Write the config files that stand in no project yet, and return a server's options."""
    own = wanted.own_config
    batching = plan_batching(wanted.models) if wanted.batching else None
    folder.mkdir(parents=True, exist_ok=True)
    return ServeOptions(
        config=own.absolute() if own else _written(folder / CONFIG_NAME, format_models(entries)),
        host=wanted.host,
        grpc_port=ports[0],
        rest_port=ports[1],
        monitoring=_written(folder / "monitoring.config", format_monitoring()),
        batching=_written(folder / "batching.config", batching.text) if batching else None,
        per_model_batching=batching is not None and batching.per_model,
        # A file of our own making does not follow the project's: we tell the server instead.
        config_poll_seconds=1 if own else 0,
    )


def batching_notes(wanted: Wanted) -> tuple[str, ...]:
    """Return what there is to say about how the models are batched, a sentence each."""
    return plan_batching(wanted.models).notes if wanted.batching else ()


def embedded_command(options: ServeOptions) -> list[str]:
    """Return the arguments that start the embedded server."""
    return [*EMBEDDED, f"--host={options.host}", *server_flags(options)]


def _watch(process: ServerProcess, wanted: Wanted, options: ServeOptions, kind: str, say: Say) -> bool:
    """Return when the server has ended: whether it had answered."""
    host = from_here(options.host)
    grpc, rest = address(host, options.grpc_port), f"http://{address(host, options.rest_port)}"
    configs = sorted({model.config for model in wanted.models})
    plain = [plain_entry(model) for model in wanted.models if model.entry is None]
    with Client(grpc=grpc, timeout=_RELOAD_SECONDS) as client:
        name = wanted.models[0].name
        while not _answers(grpc, name):
            if not process.running:
                return False
            for error in process.new_errors():
                say(f"not started yet: {error}")
            process.wait(_LOOK_SECONDS)
        server = describe_process(process.pid, kind, grpc, rest, configs, plain)
        _record(server, say)
        say(f"gRPC {grpc}, REST {rest}/v1/models/{name}; Ctrl-C drains and ends it")
        try:
            follower = Follower(() if wanted.own_config else wanted.models, client, say)
            while process.running:
                follower.look()
                process.wait(_FOLLOW_SECONDS)
        finally:
            forget_server(server)
    return True


def _answers(grpc: str, model: str) -> bool:
    """Whether the server answers; what it says of the model does not matter."""
    with Client(grpc=grpc, timeout=1.0, retries=0) as client:
        try:
            client.status(model)
        except ServingError:
            return True
        except EnvironmentProblem:
            return False
    return True


def _record(server: RunningServer, say: Say) -> None:
    try:
        record_server(server)
    except EnvironmentProblem as error:
        say(f"promote and rollback will need --grpc {server.grpc}: {error}")


def _announced(model: Model) -> str:
    labels = ", ".join(f"{label} → {version}" for label, version in model.labels.items())
    versions = ", ".join(map(str, model.served() or list(model.versions())[:1])) or "none yet"
    return f"{model.name}: version {versions}{f' ({labels})' if labels else ''} of {model.base}"


def _which(binary: str | None, options: ServeOptions) -> str:
    if binary is None:
        return "Starting the embedded server (there is no tensorflow_model_server on PATH)."
    everywhere = "" if options.host == "0.0.0.0" else "; it binds every address of this machine"  # noqa: S104
    return f"Starting the official server, {binary}{everywhere}."


def _free_ports(host: str, grpc: int, rest: int) -> tuple[int, int]:
    """Return both ports when nothing listens there; a free one in the place of 0."""
    if grpc == rest != 0:
        raise ConfigError("gRPC and REST need a port each", received=f"{grpc} for both")
    # The first is held while the second is looked for: the system may give a port that was let go of once more.
    with _bound(host, grpc) as first, _bound(host, rest) as second:
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def _bound(host: str, port: int) -> socket.socket:
    try:
        return bound(host, port)
    except OSError as error:
        raise EnvironmentProblem(
            f"port {port} of {host} cannot be used: {error.strerror or error}",
            expected="a port that nothing else listens on",
            hint="choose others with --port and --rest-port; 0 takes a free one",
        ) from error


def _written(file: Path, text: str) -> Path:
    # Made as any file is, so that the user that a server runs as may read it.
    try:
        durable.write_text(file, text, alone=False)
    except OSError as error:
        raise EnvironmentProblem(f"a config file cannot be written: {error.strerror}", where=str(file)) from error
    return file.absolute()


def refuse_second(models: Sequence[Model]) -> None:
    """Refuse a second server on a config: promotions would tell one of them alone.

    Raises:
        EnvironmentProblem: One runs.
    """
    for model in models:
        server = running_server(model.config)
        if server is not None:
            raise EnvironmentProblem(
                f"a server runs with {model.config} already",
                received=f"process {server.pid}, gRPC {server.grpc}, REST {server.rest}",
                hint=f"use that one, or end it: kill {server.pid}",
            )
