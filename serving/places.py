"""Which ``models.config`` a base path belongs to, and the lock under which either of them changes.

The Pusher leaves a pointer in a base path whose config does not lie beside its folder. Without it a command that is
given the base path alone would believe that nobody serves its versions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

from penstock import durable
from penstock.errors import EnvironmentProblem
from penstock.serving.model_config import GENERATED

CONFIG_NAME = "models.config"
POINTER = ".penstock-config"
"""File in a base path: the absolute path of its ``models.config``. No server takes such a name for a version."""


def default_config(base: Path) -> Path:
    """Return the ``models.config`` of a base path for which nobody chose another."""
    return base.absolute().parent / CONFIG_NAME


def pointed_config(base: Path) -> Path | None:
    """Return the ``models.config`` that the pointer in a base path names; None where there is no pointer.

    Raises:
        EnvironmentProblem: The pointer cannot be read, or holds no absolute path.
    """
    file = base / POINTER
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, str(error)) from error
    if not Path(text).is_absolute():
        raise _unreadable(file, repr(text))
    return Path(text)


def config_of(base: Path) -> Path:
    """Return the ``models.config`` that a base path belongs to, whether it is there or not.

    Raises:
        EnvironmentProblem: The pointer in the base path cannot be read.
    """
    return pointed_config(base) or default_config(base)


def point_to_config(base: Path, config: Path) -> None:
    """Let a base path name its ``models.config``; one that lies beside its folder needs no pointer.

    Called while :func:`changing` holds the config.

    Raises:
        EnvironmentProblem: The base path cannot be written.
    """
    file = base / POINTER
    try:
        if config.absolute() == default_config(base):
            file.unlink(missing_ok=True)
            return
        text = f"{config.absolute()}\n"
        if file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text:
            return
        durable.write_text(file, text)
    except OSError as error:
        raise EnvironmentProblem(
            f"the base path cannot name its config: {os.strerror(error.errno or 0)}",
            where=str(file),
            expected="a folder that can be written",
            hint=f"check the owner, the permissions and the free space of {base}",
        ) from error


def is_generated(config: Path) -> bool:
    """Whether a file is there and begins as those that we generate."""
    try:
        with config.open(encoding="utf-8", errors="replace") as stream:
            return stream.readline().startswith(GENERATED)
    except OSError:
        return False


def lock_file(config: Path) -> Path:
    """Return the file that :func:`changing` locks, made when missing.

    Raises:
        EnvironmentProblem: The config's folder cannot be written.
    """
    lock = config.with_name(f".{config.name}.push-lock")
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise EnvironmentProblem(
            f"{config} cannot be written: {error.strerror}",
            received=str(error.filename or config.parent),
            expected="a folder that can be written",
            hint="check its owner, its permissions and its free space, or choose another `destination.config`",
        ) from error
    return lock


@contextmanager
def changing(config: Path, timeout: float) -> Iterator[None]:
    """Keep pushes, promotions, rollbacks and prunings of one config apart: two at once would undo each other's work.

    It does not nest. Errors of the block pass as they are.

    Args:
        config: The ``models.config``.
        timeout: Seconds to wait for the others.

    Raises:
        EnvironmentProblem: Another process holds it all that time, or the config's folder cannot be written.
    """
    lock = portalocker.Lock(lock_file(config), "a", timeout=timeout)
    try:
        lock.acquire()
    except portalocker.LockException as error:
        raise EnvironmentProblem(
            f"a push, a promotion or a rollback has been changing the config for {timeout:g} s",
            where=str(config),
            received=f"no access to {lock.filename}",
            expected="one after the other",
            hint="run it again when that has ended, or look for one that hangs",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _unreadable(file: Path, received: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        "the pointer from a base path to its config cannot be read",
        where=str(file),
        received=received,
        expected="the absolute path of a models.config",
        hint="remove that file; the next push writes it anew",
    )
