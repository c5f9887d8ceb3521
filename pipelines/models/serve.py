"""Starts a model server on what was pushed: the official one when it is there, else the embedded one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.models.entries import Entries
from penstock.pipelines.models.find import CONFIG_NAME, Model
from penstock.pipelines.models.follow import Follower, merged_entries
from penstock.serving.batching_config import format_batching
from penstock.serving.client import Client
from penstock.serving.errors import ServingError
from penstock.serving.model_config import GENERATED, format_models, format_monitoring
from penstock.serving.official import ServeOptions, find_official, official_command, server_flags
from penstock.serving.running import RunningServer, describe_process, forget_server, record_server, running_server

LOG_NAME = "server.log"
_SHOWN_LINES = 12
EMBEDDED = (sys.executable, "-m", "penstock.serving.server")
_LOOK_SECONDS = 0.1
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "GRPC_VERBOSITY": "ERROR"}
"""Less of TensorFlow's notes about the machine, unless the environment asks for them."""
_FOLLOW_SECONDS = 1.0
_RELOAD_SECONDS = 60.0
_BATCHING = f"{GENERATED} a model's batching_params.pbtxt comes before this.\n" + format_batching()

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
    options = prepare(wanted, folder)
    binary = find_official()
    kind = "official" if binary else "embedded"
    command = official_command(binary, options) if binary else embedded_command(options)
    log = folder / LOG_NAME
    say(f"{_which(binary, options)} Its log: {log}")
    with _started(command, log) as process:
        code = _watch(process, wanted, options, kind, say)
    if code:
        say(f"The server ended with exit code {code}; its last lines:\n{_last_lines(log)}")
    return code


def prepare(wanted: Wanted, folder: Path) -> ServeOptions:
    """Check what can be checked before a server starts, write its config files, and return its options."""
    entries = merged_entries(wanted.models)
    taken: list[int] = []
    for port in (wanted.grpc_port, wanted.rest_port):
        taken.append(_free_port(wanted.host, port, taken))
    return write_configs(wanted, entries, folder, (taken[0], taken[1]))


def write_configs(wanted: Wanted, entries: Entries, folder: Path, ports: tuple[int, int]) -> ServeOptions:
    """Write the config files that stand in no project yet, and return a server's options."""
    own = wanted.own_config
    folder.mkdir(parents=True, exist_ok=True)
    return ServeOptions(
        config=own.absolute() if own else _written(folder / CONFIG_NAME, format_models(entries)),
        host=wanted.host,
        grpc_port=ports[0],
        rest_port=ports[1],
        monitoring=_written(folder / "monitoring.config", format_monitoring()),
        batching=_written(folder / "batching.config", _BATCHING) if wanted.batching else None,
        # A file of our own making does not follow the project's: we tell the server instead.
        config_poll_seconds=1 if own else 0,
    )


def embedded_command(options: ServeOptions) -> list[str]:
    """Return the arguments that start the embedded server."""
    return [*EMBEDDED, f"--host={options.host}", *server_flags(options)]


def _watch(process: subprocess.Popen[bytes], wanted: Wanted, options: ServeOptions, kind: str, say: Say) -> int:
    host = "127.0.0.1" if options.host == "0.0.0.0" else options.host  # noqa: S104  Where to ask, not what to bind.
    grpc, rest = f"{host}:{options.grpc_port}", f"http://{host}:{options.rest_port}"
    with Client(grpc=grpc, timeout=_RELOAD_SECONDS) as client:
        name = wanted.models[0].name
        while not _answers(grpc, name):
            if process.poll() is not None:
                return _ended(process)
            time.sleep(_LOOK_SECONDS)
        server = describe_process(process.pid, kind, grpc, rest, sorted({model.config for model in wanted.models}))
        _record(server, say)
        say(f"gRPC {grpc}, REST {rest}/v1/models/{name}; Ctrl-C drains and ends it")
        try:
            _follow(process, Follower(() if wanted.own_config else wanted.models, client, say))
        finally:
            forget_server(server)
    return _ended(process)


def _follow(process: subprocess.Popen[bytes], follower: Follower) -> None:
    """Return when the server has ended."""
    while process.poll() is None:
        follower.look()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_FOLLOW_SECONDS)


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


def _which(binary: str | None, options: ServeOptions) -> str:
    if binary is None:
        return "Starting the embedded server (there is no tensorflow_model_server on PATH)."
    everywhere = "" if options.host == "0.0.0.0" else "; it binds every address of this machine"  # noqa: S104
    return f"Starting the official server, {binary}{everywhere}."


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code; as a shell tells it where a signal ended the process."""
    code = process.wait()
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def _started(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that drains: what would end us makes it end, and we wait for it; a second time ends it at once.

    The log is begun anew, so that it holds what this server said.
    """
    asked: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM if len(asked) == 1 else signal.SIGKILL)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        # In a group of its own: a terminal's Ctrl-C reaches us alone, and the server gets one signal, not two.
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  No shell.
                command, process_group=0, env={**_QUIET, **os.environ}, stdout=output, stderr=subprocess.STDOUT
            )
        processes.append(process)
        if asked:
            process.terminate()
        yield process
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_SHOWN_LINES:]) or "  (none)"


def _free_port(host: str, port: int, taken: Sequence[int]) -> int:
    """Return ``port`` when nothing listens there; a free one for 0."""
    if port in taken:
        raise ConfigError("gRPC and REST need a port each", received=f"{port} for both")
    try:
        with socket.create_server((host, port)) as found:
            return int(found.getsockname()[1])
    except OSError as error:
        raise EnvironmentProblem(
            f"port {port} of {host} cannot be used: {str(error.strerror).partition(' (while')[0]}",
            expected="a port that nothing else listens on",
            hint="choose others with --port and --rest-port; 0 takes a free one",
        ) from error


def _written(file: Path, text: str) -> Path:
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as staged:
        staged.write(text)
    os.replace(staged.name, file)  # noqa: PTH105  The atomic step.
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
