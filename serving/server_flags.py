"""The command line of the embedded server: the flags of ``tensorflow_model_server``, and a few of its own."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from google.protobuf import text_format

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.serving.batching_config import BatchingOptions, parse_batching
from penstock.serving.errors import ServingError
from penstock.serving.metrics import DEFAULT_PATH
from penstock.serving.model_config import ModelEntry, check_entries
from penstock.serving.models.policy import TRANSITIONS
from penstock.serving.protos import transcribed
from penstock.serving.server_options import ServerOptions

if TYPE_CHECKING:
    from penstock.serving.models.manager import ManagerOptions

_LOG = logging.getLogger(__name__)
_FREE = -1
"""What ``--port`` and ``--rest_api_port`` take for "any free port"; 0 is taken: it means "off"."""
_WITHOUT_EFFECT = (
    "enable_grpc_healthcheck_service", "enable_profiler", "flush_filesystem_caches", "grpc_max_threads",
    "mixed_precision", "num_tflite_interpreters_per_pool", "num_tflite_pools", "num_unload_threads",
    "per_process_gpu_memory_fraction", "remove_unused_fields_from_bundle_metagraph", "rest_api_num_threads",
    "skip_initialize_tpu", "tensorflow_inter_op_parallelism", "tensorflow_intra_op_parallelism",
    "tensorflow_session_parallelism", "xla_cpu_compilation_enabled", "xla_gpu_compilation_enabled",
)  # fmt: skip
"""Flags that tune what this server does not have, or always does: taken, so that a command line can be moved here."""


_MOST_SECONDS = 2**31 - 1
_MOST_MICROS = _MOST_SECONDS * 1_000_000
_MOST = 2**31 - 1
_MOST_THREADS = 1024


@dataclass(frozen=True)
class _Between:
    """A number in a range, read from text."""

    kind: type[int | float]
    least: int
    most: int

    def __call__(self, text: str) -> int | float:
        try:
            value = self.kind(text)
        except ValueError as error:
            noun = "a whole number" if self.kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {noun}, was {text!r}") from error
        if not self.least <= value <= self.most:
            raise argparse.ArgumentTypeError(f"expected {self.least} to {self.most}, was {text}")
        return value


def _transition(text: str) -> str:
    if text not in TRANSITIONS:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(TRANSITIONS)}, was {text!r}")
    return text


def _host(text: str) -> str:
    # An empty one would be every address of the machine, and nobody means that by saying nothing.
    if not text:
        raise argparse.ArgumentTypeError("expected an address, was ''")
    return text


@dataclass(frozen=True)
class _Flag:
    name: str
    kind: Callable[[str], Any]
    text: str
    default: Any = None


_DEFAULTS = ServerOptions()
_PORT = _Between(int, _FREE, 65535)
_COUNT = _Between(int, 0, _MOST)
_SIZE = _Between(int, 1, _MOST)
_SECONDS = _Between(float, 0, _MOST_SECONDS)
_FLAGS = (
    _Flag(
        "host",
        _host,
        "address to listen on (not a flag of tensorflow_model_server, which takes all)",
        default="127.0.0.1",
    ),
    _Flag("port", _PORT, "port of gRPC; 0: none, -1: a free one", default=8500),
    _Flag("rest_api_port", _PORT, "port of REST; 0: none, -1: a free one", default=0),
    _Flag("rest_api_timeout_in_ms", _SIZE, "milliseconds after which a REST request is given up", default=30_000),
    _Flag("rest_api_enable_cors_support", bool, "let scripts of any web page read replies", default=False),
    _Flag("model_config_file", Path, "text proto ModelServerConfig"),
    _Flag("model_config_file_poll_wait_seconds", _SECONDS, "seconds between two looks at it; 0: once", default=0.0),
    _Flag("model_name", str, "name of the only model, without a config file", default="default"),
    _Flag("model_base_path", str, "base path of the only model, without a config file", default=""),
    _Flag(
        "file_system_poll_wait_seconds",
        _Between(float, -1, _MOST_SECONDS),
        "seconds between two looks for new versions; 0: once, -1: never",
        default=1.0,
    ),
    _Flag("max_num_load_retries", _COUNT, "how often a load that failed is tried again", default=5),
    _Flag(
        "load_retry_interval_micros",
        _Between(int, -_MOST_MICROS, _MOST_MICROS),
        "microseconds between two tries",
        default=60_000_000,
    ),
    _Flag(
        "num_load_threads",
        _Between(int, 0, _MOST_THREADS),
        "versions that are loaded at the same time; 0 is 1",
        default=0,
    ),
    _Flag("enable_model_warmup", bool, "replay the warm-up requests of a SavedModel", default=True),
    _Flag(
        "allow_version_labels_for_unavailable_models", bool, "let a new label come before its version", default=False
    ),
    _Flag(
        "aspired_version_policy",
        _transition,
        "availability_preserving: load the new version before the old one goes, as tensorflow_model_server always "
        "does; resource_preserving: unload the old one first (our own flag)",
        default="availability_preserving",
    ),
    _Flag("enable_batching", bool, "batch requests", default=False),
    _Flag("batching_parameters_file", Path, "text proto BatchingParameters"),
    _Flag(
        "enable_per_model_batching_parameters",
        bool,
        "batch each model as the batching_params.pbtxt in its SavedModel says, and one without it not at all",
        default=False,
    ),
    _Flag("monitoring_config_file", Path, "text proto MonitoringConfig"),
    _Flag("enable_serialization_as_tensor_content", bool, "send outputs as tensor_content", default=False),
    _Flag(
        "max_request_bytes", _SIZE, "bytes of the largest request (our own flag)", default=_DEFAULTS.max_request_bytes
    ),
    _Flag(
        "max_concurrency",
        _Between(int, 1, _MOST_THREADS),
        "requests in progress at the same time (our own flag)",
        default=_DEFAULTS.max_concurrency,
    ),
    _Flag(
        "drain_seconds",
        _SECONDS,
        "seconds that requests have to end at a stop (our own flag)",
        default=_DEFAULTS.drain_seconds,
    ),
)


@dataclass(frozen=True)
class Command:
    """What a command line asks for; the arguments of ``Server``."""

    options: ServerOptions
    models: Path | tuple[ModelEntry, ...]
    manager_options: ManagerOptions


def parse_flags(arguments: Sequence[str]) -> Command:
    """Read a command line.

    Raises:
        ConfigError: A flag is unknown or has a wrong value, or a file that it names cannot be read.
    """
    flags, unknown = _parser().parse_known_args(arguments)
    if unknown:
        name = unknown[0].split("=")[0].lstrip("-")
        known = [action.dest for action in _parser()._actions]  # noqa: SLF001  argparse has no other list of them.
        raise ConfigError(f"unknown flag {unknown[0]!r}", hint=did_you_mean(name, known))
    for name in _WITHOUT_EFFECT:
        if getattr(flags, name) is not None:
            _LOG.warning("--%s has no effect on this server", name)
    _check_ports(flags.port, flags.rest_api_port)
    return Command(_options(flags), _models(flags), _manager_options(flags))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m penstock.serving.server", allow_abbrev=False)
    for flag in _FLAGS:
        name, default, text = f"--{flag.name}", flag.default, flag.text
        if flag.kind is bool:
            parser.add_argument(name, type=_boolean, nargs="?", const=True, default=default, help=text)
        else:
            parser.add_argument(name, type=flag.kind, default=default, help=text)
    for without_effect in _WITHOUT_EFFECT:
        parser.add_argument(f"--{without_effect}", nargs="?", const="true", help=argparse.SUPPRESS)
    return parser


def _options(flags: argparse.Namespace) -> ServerOptions:
    return ServerOptions(
        host=flags.host,
        grpc_port=_port(flags.port),
        rest_port=_port(flags.rest_api_port),
        max_request_bytes=flags.max_request_bytes,
        max_concurrency=flags.max_concurrency,
        drain_seconds=flags.drain_seconds,
        rest_timeout=flags.rest_api_timeout_in_ms / 1000,
        cors=flags.rest_api_enable_cors_support,
        metrics_path=_metrics_path(flags.monitoring_config_file),
        as_content=flags.enable_serialization_as_tensor_content,
        config_poll_seconds=flags.model_config_file_poll_wait_seconds,
    )


def _models(flags: argparse.Namespace) -> Path | tuple[ModelEntry, ...]:
    if flags.model_config_file is not None:
        return Path(flags.model_config_file)
    if not flags.model_base_path:
        raise ConfigError("no model to serve", expected="--model_config_file, or --model_base_path and --model_name")
    entries = (ModelEntry(flags.model_name, flags.model_base_path),)
    try:
        check_entries(entries)
    except ServingError as error:
        raise ConfigError(f"the model cannot be served: {error.message}") from error
    return entries


def _manager_options(flags: argparse.Namespace) -> ManagerOptions:
    from penstock.serving.models.manager import ManagerOptions

    return ManagerOptions(
        poll_seconds=flags.file_system_poll_wait_seconds,
        load_retries=flags.max_num_load_retries,
        retry_seconds=max(0, flags.load_retry_interval_micros) / 1e6,
        transition=flags.aspired_version_policy,
        batching=_batching(flags),
        per_model_batching=flags.enable_batching and flags.enable_per_model_batching_parameters,
        allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
        load_threads=max(1, flags.num_load_threads),
        warm_up=flags.enable_model_warmup,
    )


def _batching(flags: argparse.Namespace) -> BatchingOptions | None:
    path = flags.batching_parameters_file
    if not flags.enable_batching:
        if path is not None:
            raise ConfigError("--batching_parameters_file is set without --enable_batching", where=str(path))
        return None
    if path is None:
        return BatchingOptions()
    try:
        return parse_batching(_read(path), str(path))
    except ServingError as error:
        raise ConfigError(f"the batching parameters are wrong: {error.message}", where=str(path)) from error


def _metrics_path(path: Path | None) -> str | None:
    if path is None:
        return DEFAULT_PATH
    config = transcribed("tensorflow.serving.MonitoringConfig")()
    try:
        text_format.Parse(_read(path), config)
    except text_format.ParseError as error:
        raise ConfigError(f"the monitoring config is malformed: {error}", where=str(path)) from error
    prometheus = config.prometheus_config
    return (prometheus.path or DEFAULT_PATH) if prometheus.enable else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read: {error}", where=str(path)) from error


def _check_ports(grpc: int, rest: int) -> None:
    if grpc == rest == 0:
        raise ConfigError("no port to serve on", expected="--port or --rest_api_port, or both")
    if grpc == rest != _FREE:
        raise ConfigError("gRPC and REST need a port each", received=f"{grpc} for both")


def _port(number: int) -> int | None:
    return {0: None, _FREE: 0}.get(number, number)


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"invalid boolean value: {text!r}")
    return values[text.lower()]
