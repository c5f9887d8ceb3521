"""The ``models.config`` that a server was started with, read again and again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from penstock.errors import ConfigError
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, parse_models

if TYPE_CHECKING:
    from penstock.serving.models.manager import ModelManager


def read_models(path: Path) -> tuple[ModelEntry, ...]:
    """Read a ``models.config``.

    Raises:
        ConfigError: It cannot be read, or says what no server takes.
    """
    return _parsed(_text(path), path)


def follow(manager: ModelManager, path: Path) -> None:
    """Let a manager take over what a ``models.config`` says by now; see :meth:`ModelManager.follow`.

    Raises:
        ConfigError: The file cannot be read, or says what no server takes. The manager goes on as it was.
        ServingError: The manager refuses it.
    """
    # Before the file is read: a reload that comes in between brings something newer than what is read.
    revision = manager.revision
    text = _text(path)
    entries = _parsed(text, path)
    if not entries and manager.names() and not _is_config(text):
        # What a writer that was killed leaves behind must not unload everything.
        raise ServingError(
            Code.FAILED_PRECONDITION,
            "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to "
            "another.",
        )
    manager.follow(entries, revision)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config of the models cannot be read: {error}", where=str(path)) from error


def _parsed(text: str, path: Path) -> tuple[ModelEntry, ...]:
    try:
        return parse_models(text, str(path))
    except ServingError as error:
        raise ConfigError(f"the config of the models is wrong: {error.message}", where=str(path)) from error


def _is_config(text: str) -> bool:
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return bool(config.HasField("model_config_list"))
