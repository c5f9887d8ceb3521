"""The official ``tensorflow_model_server``: where it is, and the commands that start it and its image."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import ConfigError
from penstock.serving.addresses import bracketed, numeric

BINARY = "tensorflow_model_server"
IMAGE = "tensorflow/serving"
PINNED_IMAGE = f"{IMAGE}:2.19.1"
"""The image of the release whose messages we speak: ``tensorflow-serving-api`` in the lock."""
IMAGE_PORTS = (8500, 8501)
"""gRPC and REST inside the image; its entry point sets them."""


@dataclass(frozen=True)
class ServeOptions:
    """How a server is started.

    Attributes:
        config: The ``models.config``, absolute.
        host: Address that it binds.
        grpc_port: Port of gRPC.
        rest_port: Port of REST.
        monitoring: The ``monitoring.config``.
        batching: The ``batching.config``; None for no batching.
        per_model_batching: Take what the models themselves bring instead; then a model that brings nothing is not
            batched, and of ``batching`` the threads alone count.
        config_poll_seconds: How often the server looks at ``config``; 0 for never.
        file_poll_seconds: How often it looks for new versions.
    """

    config: Path
    host: str
    grpc_port: int
    rest_port: int
    monitoring: Path | None = None
    batching: Path | None = None
    per_model_batching: bool = False
    config_poll_seconds: int = 1
    file_poll_seconds: int = 1


def find_official() -> str | None:
    """Return the path of the official server, or None when it is not on PATH."""
    return shutil.which(BINARY)


def server_flags(options: ServeOptions) -> list[str]:
    """Return the flags of :data:`BINARY`, which the embedded server takes too."""
    flags = [
        f"--port={options.grpc_port}",
        f"--rest_api_port={options.rest_port}",
        f"--model_config_file={options.config}",
        f"--model_config_file_poll_wait_seconds={options.config_poll_seconds}",
        f"--file_system_poll_wait_seconds={options.file_poll_seconds}",
        # A server that starts reads the labels before it has loaded what they name, and would refuse them. Only labels
        # that are new to it may come early: one that it has moves to an AVAILABLE version alone.
        "--allow_version_labels_for_unavailable_models=true",
    ]
    if options.monitoring is not None:
        flags.append(f"--monitoring_config_file={options.monitoring}")
    if options.batching is not None:
        flags += ["--enable_batching=true", f"--batching_parameters_file={options.batching}"]
        if options.per_model_batching:
            flags.append("--enable_per_model_batching_parameters=true")
    return flags


def official_command(binary: str, options: ServeOptions) -> list[str]:
    """Return the arguments that start the official server.

    It binds every address of the machine; there is no flag for one.
    """
    return [binary, *server_flags(options)]


def image_command(options: ServeOptions, folders: Sequence[Path], image: str = IMAGE) -> list[str]:
    """Return the arguments that start the official image on this machine's folders.

    Args:
        options: How it is started; the ports are those on this machine.
        folders: Folders that the config files and the models lie in. They are mounted, read-only, where they are: the
            config names base paths by their absolute paths.
        image: Name and tag.

    Raises:
        ConfigError: The host has no address; docker publishes on addresses alone.
    """
    try:
        host = bracketed(numeric(options.host))
    except OSError as error:
        raise ConfigError(
            f"{options.host} has no address to publish a container on: {error.strerror}", hint="name an address"
        ) from error
    mounts = [f"--volume={folder}:{folder}:ro" for folder in _outermost(folders)]
    ports = zip((options.grpc_port, options.rest_port), IMAGE_PORTS, strict=True)
    published = [f"--publish={host}:{outside}:{inside}" for outside, inside in ports]
    # The entry point has set the ports already, and a model of its own that a config file replaces.
    flags = [flag for flag in server_flags(options) if not flag.startswith(("--port=", "--rest_api_port="))]
    return ["docker", "run", "--rm", *published, *mounts, image, *flags]


def shell(command: Sequence[str]) -> str:
    """Return a command as text for a shell, an argument a line where it has several."""
    first, *flags = command
    plain = [shlex.quote(first)]
    while flags and not flags[0].startswith("--"):
        plain.append(shlex.quote(flags.pop(0)))
    return " \\\n  ".join([" ".join(plain), *map(shlex.quote, flags)])


def _outermost(folders: Sequence[Path]) -> list[Path]:
    """Return the folders without those inside another."""
    found: list[Path] = []
    for folder in sorted(set(folders)):
        if not any(folder.is_relative_to(outer) for outer in found):
            found.append(folder)
    return found
