"""How a job server is started: Beam knows its jar and its arguments. Imports Beam."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.engines.names import jar_option

_OPEN_TO_FLINK = ("java.util", "java.lang", "java.net", "java.io", "java.nio", "java.time", "java.util.concurrent")
"""Packages of Java 17 that Flink's serializers look into, as Flink's own start script opens them."""
_LOCK_SECONDS = 600.0


def server_command(
    engine: str, args: Sequence[str], jar: str | None, java: str, artifacts: str
) -> tuple[list[str], str]:
    """Return what starts the job server of ``flink`` or ``spark``, and the ``host:port`` that it will listen on.

    The jar of the installed Beam comes from Maven Central when it is not in Beam's cache.

    Args:
        engine: ``flink`` or ``spark``.
        args: Beam's flags.
        jar: The job server's jar; None for Beam's own.
        java: The program that runs it.
        artifacts: A folder for what jobs bring along.

    Raises:
        ConfigError: Beam refuses its flags.
        EnvironmentProblem: There is no such jar, or it is damaged.
    """
    given = [f"--{jar_option(engine)}={jar}"] if jar else []
    flags = [*args, *given, f"--artifacts_dir={artifacts}"]
    server = _server(engine, flags, java)
    wanted = _jar_of(server)
    with _alone(server, wanted):
        try:
            command, endpoint = server.subprocess_cmd_and_endpoint()
        except (RuntimeError, OSError) as error:
            raise _cannot_be_fetched(wanted, error) from error
        _require_whole(Path(command[command.index("-jar") + 1]), ours=not jar)
    return [str(part) for part in command], endpoint


def _server(engine: str, flags: Sequence[str], java: str) -> Any:
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, JobServerOptions, PipelineOptions
    from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner
    from apache_beam.runners.portability.spark_runner import SparkJarJobServer

    options = PipelineOptions(list(flags))
    try:
        server_options, flink = options.view_as(JobServerOptions), options.view_as(FlinkRunnerOptions)
    except SystemExit as error:  # As argparse ends a program.
        raise ConfigError("Beam refuses its options", received=" ".join(flags), where="beam.options") from error
    if server_options.job_server_java_launcher in (None, "java"):
        server_options.job_server_java_launcher = java
    if engine == "spark":
        return SparkJarJobServer(options)
    flink.flink_master = FlinkRunner.add_http_scheme(flink.flink_master)
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPEN_TO_FLINK]
    server_options.job_server_jvm_properties = [*opened, *(server_options.job_server_jvm_properties or [])]
    return FlinkJarJobServer(options)


def _jar_of(server: Any) -> str:
    """Return the path or the address of the jar.

    Raises:
        EnvironmentProblem: It is neither.
    """
    try:
        return str(server.path_to_jar())
    except (ValueError, RuntimeError) as error:
        raise EnvironmentProblem(
            "there is no job server's jar there", received=str(error).splitlines()[0], expected="a path, or an address"
        ) from error


@contextmanager
def _alone(server: Any, wanted: str) -> Iterator[None]:
    """Let one process at a time fill the cache: Beam writes a download to the same place in all of them."""
    import portalocker
    from apache_beam.utils.subprocess_server import JavaJarServer

    if Path(wanted).exists():
        yield
        return
    folder = Path(server._jar_cache_dir or JavaJarServer.JAR_CACHE)  # noqa: SLF001  As Beam's own code takes it.
    folder.mkdir(parents=True, exist_ok=True)
    with portalocker.Lock(str(folder / f".{Path(wanted).name}.lock"), timeout=_LOCK_SECONDS):
        yield


def _cannot_be_fetched(wanted: str, error: Exception) -> EnvironmentProblem:
    name = wanted.rpartition("/")[2]
    return EnvironmentProblem(
        f"the job server's jar cannot be fetched: {name}",
        received=_reason(error),
        expected="Maven Central within reach, or the jar on this machine",
        hint=f"fetch org.apache.beam:{_coordinates(name)} on a machine that can, and name the file: "
        "beam: {job_server_jar: PATH}",
    )


def _reason(error: Exception) -> str:
    """Return what the network said; Beam wraps it into a sentence about addresses and paths."""
    cause = error.__context__ or error
    told = f"{type(cause).__name__}: {cause}".strip().splitlines()[0]
    if isinstance(cause, HTTPError):
        cause.close()  # Beam leaves the connection open.
    return told


def _coordinates(name: str) -> str:
    artifact, _, version = name.removesuffix(".jar").rpartition("-")
    return f"{artifact}:{version}"


def _require_whole(jar: Path, *, ours: bool) -> None:
    """Refuse a jar that is cut: Beam keeps what it got, and Java says only that it is corrupt.

    Raises:
        EnvironmentProblem: It is no jar; one from the cache is removed, so that the next run fetches it again.
    """
    if zipfile.is_zipfile(jar):
        return
    size = jar.stat().st_size
    if ours:
        jar.unlink()
    raise EnvironmentProblem(
        "the job server's jar is damaged" + (", and was removed from the cache" if ours else ""),
        where=str(jar),
        received=f"{size:,} bytes that are no jar",
        hint="run again: it is fetched anew" if ours else "fetch it again",
    )
