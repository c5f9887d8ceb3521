"""Worker processes that have TensorFlow and TFX imported already.

The imports take seconds, so they happen once, in a fork server that runs nothing else (no TensorFlow device, no thread
pool exists in it when it forks). Each task then gets a process of its own in milliseconds: its output goes to a log
file down to the file descriptors, a crash or an out-of-memory kill ends that task only, and its memory returns to the
system. The command's own process stays small and never imports TensorFlow.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from penstock.errors import EnvironmentProblem
from penstock.pipelines.runners.courier import Courier
from penstock.pipelines.runners.translate import translate
from penstock.reporting import Sink, reporting_to

PRELOAD = "penstock.pipelines.runners.preload"
# What TensorFlow prints to the terminal when it is imported and used goes to the log files; this keeps those readable.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "GRPC_VERBOSITY": "ERROR", "TF_ENABLE_ONEDNN_OPTS": "0"}
_GONE = ("gone", None)
_MORE_SPACE = "free some space and run again: finished steps are kept"


class CancelledError(Exception):
    """The run was interrupted. An ``Exception``, so that TFX's launcher publishes the execution as failed."""


@dataclass
class Task:
    """One running task: a process, and the pipe on which its reports and at last its result arrive.

    Attributes:
        process: The worker.
        pipe: Receives the messages of :class:`Courier`, then the answer.
        log: Where the worker's output goes.
        sink: Who is told what the task reports, whenever this object is asked something; None for nobody.
    """

    process: BaseProcess
    pipe: Connection
    log: Path
    sink: Sink | None = None
    _answer: tuple[str, Any] | None = field(default=None, init=False)

    def done(self) -> bool:
        """Whether the task has sent its result or died."""
        # Looked at before the pipe, so that nothing which a dead process has sent is missed.
        alive = self.process.is_alive()
        while self._answer is None and self.pipe.poll():
            self._receive()
        if self._answer is None and not alive:
            # No end of file: a process that the task left behind holds the pipe open.
            self._answer = _GONE
        return self._answer is not None

    def result(self) -> Any:
        """Wait for the task and return what it returned.

        Raises:
            PenstockError: What the task raised, or that its process died.
        """
        while self._answer is None:
            if not self.done():
                Workers.wait([self], timeout=None)
        self.process.join()
        kind, value = self._answer
        if kind == "gone":
            self._end_group()
            raise EnvironmentProblem(f"the process was {_ending(self.process.exitcode)}", hint=f"see {self.log}")
        if kind == "error":
            raise value
        return value

    def stop(self, grace: float) -> None:
        """End the task with all that it started: ask, wait ``grace`` seconds, then kill its whole process group."""
        if self.process.pid is None:
            return
        _signal(self.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        # Read on: a task that cleans up must not wait for room in the pipe.
        while not self.done() and (left := deadline - time.monotonic()) > 0:
            Workers.wait([self], left)
        self.process.join(max(0.0, deadline - time.monotonic()))
        self._end_group()
        self.process.join()

    def _receive(self) -> None:
        """Take one message."""
        self._answer = _GONE  # Stands if the message is cut: the process died, or Ctrl-C came, in the middle of it.
        try:
            kind, value = self.pipe.recv()
        except (EOFError, OSError):
            return
        if kind not in ("status", "note"):
            self._answer = (kind, value)
            return
        self._answer = None
        if self.sink:
            tell = self.sink.status if kind == "status" else self.sink.note
            tell(value)

    def _end_group(self) -> None:
        if self.process.pid is not None:
            _signal_group(self.process.pid, signal.SIGKILL)


class Workers:
    """Starts tasks in processes forked from a fork server.

    Args:
        project: The folder that user modules are relative to; each task's working directory and first import path.
        log: Where the fork server's own output goes (what libraries print when they are imported).

    Attributes:
        environment: Variables that tasks have in addition, from their start on.
    """

    def __init__(self, project: Path, log: Path) -> None:
        self._project = project
        self._log = log
        self.environment: dict[str, str] = {}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        with _stderr_to(log), _environment(QUIET):
            forkserver.ensure_running()

    def start(self, task: Callable[..., Any], *args: Any, log: Path, sink: Sink | None = None) -> Task:
        """Start ``task(*args)``; both must be picklable. The first start waits for the imports.

        What the task reports (:mod:`penstock.reporting`) goes to ``sink``.

        Raises:
            EnvironmentProblem: The imports failed.
        """
        receiver, sender = self._context.Pipe(duplex=False)
        arguments = (sender, log, self._project, dict(self.environment), task, args)
        process = self._context.Process(target=_main, args=arguments, name=log.stem, daemon=False)
        try:
            process.start()
        except EOFError as error:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise EnvironmentProblem(
                "TensorFlow and TFX cannot be imported",
                received=lines[-1] if lines else None,
                hint=f"see {self._log}, and run: penstock doctor",
            ) from error
        sender.close()
        return Task(process, receiver, log, sink)

    def run(self, task: Callable[..., Any], *args: Any, log: Path) -> Any:
        """Start ``task(*args)`` and return its result."""
        running = self.start(task, *args, log=log)
        try:
            return running.result()
        except BaseException:
            running.stop(grace=0)
            raise

    @staticmethod
    def wait(tasks: Sequence[Task], timeout: float | None) -> None:
        """Return as soon as one of ``tasks`` is done or reports something, or after ``timeout`` seconds."""
        waitable = [task.pipe for task in tasks] + [task.process.sentinel for task in tasks]
        connection.wait(waitable, timeout)


def _main(
    pipe: Connection,
    log: Path,
    project: Path,
    environment: dict[str, str],
    task: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """Run in the worker: isolate, run the task, send its result."""
    os.setpgid(0, 0)
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may name another one than where this was forked.
    log = log.absolute()
    try:
        _redirect_output(log)
    except OSError as error:
        pipe.send(("error", _unwritten(log, str(error))))
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _cancel)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.insert(0, str(project))
    os.chdir(project)
    with Courier(pipe) as courier, reporting_to(courier, log):
        answer = _answer(task, args, log)
        # Too late to cancel: an exception now could cut a message in the middle.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe.send(answer)
    pipe.close()


def _answer(task: Callable[..., Any], args: tuple[Any, ...], log: Path) -> tuple[str, Any]:
    """Run the task; return ``result`` and what it returned, or ``error`` and what it raised."""
    try:
        return "result", task(*args)
    except (Exception, SystemExit) as error:  # noqa: BLE001  The boundary: what a step raises is reported, never lost.
        told = translate(error)
        try:
            traceback.print_exc()
        except OSError:
            # What failed the step may be the same full disk; without a log nobody could tell.
            return "error", _unwritten(log, told.what)
        return "error", told


def _unwritten(log: Path, received: str) -> EnvironmentProblem:
    return EnvironmentProblem("the log cannot be written", where=str(log), received=received, hint=_MORE_SPACE)


def _cancel(_signum: int, _frame: object) -> NoReturn:
    raise CancelledError("the run was interrupted")


def _end_with_parent() -> None:
    """Leave no orphan: a worker ends, with all that it started, when the command that wanted it is gone."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        _signal_group(os.getpid(), signal.SIGKILL)


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    layout = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=layout, stream=sys.stderr, force=True)


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Send this process's output to ``log`` while a child that inherits it starts."""
    log.parent.mkdir(parents=True, exist_ok=True)
    saved = [(stream, os.dup(stream)) for stream in (1, 2)]
    try:
        with log.open("ab") as target:
            for stream, _ in saved:
                os.dup2(target.fileno(), stream)
            yield
    finally:
        for stream, copy in saved:
            os.dup2(copy, stream)
            os.close(copy)


@contextmanager
def _environment(defaults: dict[str, str]) -> Iterator[None]:
    added = {key: value for key, value in defaults.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            del os.environ[key]


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # It ended by itself in the meantime.


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _ending(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "killed (SIGKILL: out of memory, or somebody ended it)"
    if exit_code is not None and exit_code < 0:
        return f"ended by signal {signal.Signals(-exit_code).name}"
    return f"gone with exit code {exit_code} before it reported a result"
