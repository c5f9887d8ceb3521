"""Ends a push at any of its writes, flushes and renames: ``python -m tests.components.pusher.faults``.

A process that has imported all that a push needs, and no TensorFlow, forks for each attempt, so that a thousand take
seconds. It reads one JSON object a line: what to push, where to, how to end it and at which point. It answers with what
became of the attempt.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from penstock.components.pusher import push as pushing
from penstock.components.pusher import push_flatbuffers as pushing_flatbuffers
from penstock.components.pusher import rename as renaming
from penstock.components.pusher.blessing import Verdicts
from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.flatbuffer_gate import FlatbufferReport
from penstock.components.pusher.flatbuffers import Flatbuffer
from penstock.components.pusher.gate import GateReport
from penstock.components.pusher.push import PushRequest, push
from penstock.components.pusher.push_flatbuffers import FlatbufferRequest, push_flatbuffers
from penstock.errors import PenstockError

Fault = Literal["none", "kill", "full disk", "moment"]
"""How an attempt ends: not at all, by SIGKILL or for want of space at a point, or by a signal after microseconds."""
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt.

    Attributes:
        points: Writes, flushes, renames and the like that it came to, a count.
        error: The error that it ended with.
        killed: Whether it was killed.
        version: The version that it says it published.
    """

    points: int
    error: str | None
    killed: bool
    version: int | None


class _Points:
    """Counts what a push does to the disk, and ends it at one of them.

    The counter is written through a pipe, so that it is known after a SIGKILL.
    """

    def __init__(self, fault: Fault, at: int, pipe: int) -> None:
        self._fault = fault
        self._at = at
        self._pipe = pipe
        self._count = 0

    def reached(self, begin: Callable[[], object] = lambda: None, *, needs_space: bool = True) -> None:
        """Pass a point; at the one in question do the beginning of it, then end."""
        os.write(self._pipe, b".")
        self._count += 1
        if self._count - 1 != self._at or self._fault in ("none", "moment"):
            return
        if self._fault == "kill":
            begin()
            os.kill(os.getpid(), signal.SIGKILL)
        elif needs_space:
            begin()
            raise OSError(*FULL.args)

    def before(self, function: Callable[..., Any], *, needs_space: bool = True) -> Callable[..., Any]:
        """Return the function with a point before it."""

        def passing(*args: Any, **kwargs: Any) -> Any:
            self.reached(needs_space=needs_space)
            return function(*args, **kwargs)

        return passing


class _Stream:
    """A file whose writes are points; one that is cut short has written half."""

    def __init__(self, stream: Any, points: _Points) -> None:
        self._stream = stream
        self._points = points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, data: Any) -> int:
        def half() -> None:
            self._stream.write(data[: len(data) // 2])
            self._stream.flush()

        self._points.reached(half)
        return self._stream.write(data)  # type: ignore[no-any-return]


def arm(fault: Fault, at: int, pipe: int) -> None:
    """Let this process end at a point; for good."""
    points = _Points(fault, at, pipe)
    for name in ("fsync", "mkdir", "rename", "replace"):
        setattr(os, name, points.before(getattr(os, name)))
    for name in ("unlink", "rmdir"):
        setattr(os, name, points.before(getattr(os, name), needs_space=False))
    without_replacing = renaming._without_replacing

    def renaming_or_full(source: Path, target: Path) -> int:
        try:
            points.reached()
        except OSError as error:
            return error.errno or 0
        return without_replacing(source, target)

    renaming._without_replacing = renaming_or_full
    opened = io.open

    def opening(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        stream = opened(file, mode, *args, **kwargs)
        return stream if mode in ("r", "rb") else _Stream(stream, points)

    vars(io)["open"] = opening
    vars(pushing)["pass_gate"] = lambda model, timeout: GateReport(0)
    vars(pushing_flatbuffers)["pass_flatbuffer_gate"] = lambda version, timeout: FlatbufferReport({})


def _attempt(order: dict[str, Any]) -> dict[str, Any]:
    """Push in a process of its own and return what became of it."""
    points, points_in = os.pipe()
    told, told_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(points)
        os.close(told)
        if order["fault"] == "moment":
            # Nobody handles the signal: it ends the process wherever it is, as SIGKILL would.
            signal.setitimer(signal.ITIMER_REAL, max(order["at"], 1) / 1e6)
        arm(order["fault"], order["at"], points_in)
        os.write(told_in, json.dumps(_push(order)).encode())
        os._exit(0)
    os.close(points_in)
    os.close(told_in)
    with os.fdopen(points, "rb") as counted, os.fdopen(told, "rb") as answer:
        passed, text = counted.read(), answer.read()
    _, status = os.waitpid(child, 0)
    said = json.loads(text) if text else {"error": None, "version": None}
    return {"points": len(passed), "killed": os.WIFSIGNALED(status), **said}


def _push(order: dict[str, Any]) -> dict[str, Any]:
    config = PusherConfig.model_validate(order["config"])
    model = Path(order["model"])
    try:
        if config.destination.flatbuffers:
            modes = sorted(model.iterdir())
            flatbuffers = tuple(Flatbuffer(mode.name, mode, blessed=True, reason="within the gate") for mode in modes)
            result = push_flatbuffers(FlatbufferRequest(flatbuffers, config, Verdicts()))
        else:
            result = push(PushRequest(model, config))
    except PenstockError as error:
        return {"error": str(error), "version": None}
    except BaseException as error:  # noqa: BLE001  Whatever ends a child is the parent's to judge.
        return {"error": f"not told: {error!r}", "version": None}
    return {"error": None, "version": result.version}


class Forks:
    """The process that forks, seen from the one that orders."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def push(self, model: Path, config: dict[str, Any], fault: Fault = "none", at: int = 0) -> Outcome:
        """Push once.

        Args:
            model: The SavedModel, or a folder with a folder of each mode's flatbuffer.
            config: A :class:`PusherConfig` as plain data.
            fault: How to end it.
            at: The point at which to end it, from 0, or the microseconds after which.
        """
        order = {"model": str(model), "config": config, "fault": fault, "at": at}
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the process has no pipes")
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        return Outcome(**json.loads(stdout.readline()))


@contextmanager
def forks() -> Iterator[Forks]:
    """Start the process that forks; it ends with the block."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Forks(process)
        if process.stdin is not None:
            process.stdin.close()


def main() -> None:
    """Attempt what is ordered on standard input."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_attempt(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
