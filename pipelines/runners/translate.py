"""Exceptions of TFX, TensorFlow, Beam and user code → one clear error each."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from penstock.errors import EnvironmentProblem, PenstockError, UserCodeError
from penstock.user_code import user_frames

_LINES_SHOWN = 6
_CHARACTERS_SHOWN = 2000
# ML Metadata puts the whole message that it writes before what SQLite says, and the query behind it.
_QUERY = re.compile(r"Error when executing query: (.+?)\s+query:", re.DOTALL)
_LESS_MEMORY = "close other programs, run fewer steps at once (--jobs 1), or give the step less data at a time"
# As TensorFlow's file system and SQLite say it.
_FULL_DISK = ("No space left on device", "database or disk is full")


def translate(error: BaseException) -> PenstockError:
    """Return the error that a user should see for ``error``.

    An exception that passed through the user's own files is the user's; their frames come with it.
    """
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, PenstockError):
            return cause
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            return _environment(cause.strerror or str(cause), cause.filename)
    if any(phrase in str(cause) for phrase in _FULL_DISK for cause in chain):
        return _environment("No space left on device", None)
    for cause in chain:
        frames = user_frames(cause)
        if frames:
            last = frames[-1]
            return UserCodeError(f"your code raised {_text(cause)}", where=f"{last.file}:{last.line}", frames=frames)
    if any(isinstance(cause, MemoryError) for cause in chain):
        return EnvironmentProblem("no memory is left", received=_text(chain[-1]), hint=_LESS_MEMORY)
    return PenstockError(_text(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what caused it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _text(error: BaseException) -> str:
    """Return ``Type: message``. Beam's local runner packs a whole traceback into the message: its last line counts."""
    message = str(error).strip()
    query = _QUERY.search(message)
    if query:
        return f"{type(error).__name__}: {query[1]}"
    lines = [line for line in message.splitlines() if line.strip()]
    if "Traceback (most recent call last)" in message and lines:
        return lines[-1].strip()
    if len(lines) > _LINES_SHOWN:
        # Libraries append whole protos and graphs; the log has them.
        message = "\n".join(
            [*message.splitlines()[:_LINES_SHOWN], f"… {len(lines) - _LINES_SHOWN} more lines in the log"]
        )
    if len(message) > _CHARACTERS_SHOWN:
        message = f"{message[:_CHARACTERS_SHOWN]}… (all of it is in the log)"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _environment(reason: str, file: str | bytes | None) -> EnvironmentProblem:
    shown = file.decode(errors="replace") if isinstance(file, bytes) else file
    hint = "free some space and run again: finished steps are kept" if "space" in reason or "quota" in reason else None
    return EnvironmentProblem(reason, where=shown, hint=hint or "check the permissions, then run again")
