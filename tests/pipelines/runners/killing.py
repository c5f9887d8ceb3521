"""Runs a pipeline in forks of a process that has imported everything, and kills them: ``python -m …killing``.

The imports of a real ``penstock run`` take seconds; here a run takes one or two. The run is LocalRunner's, with its
lock, its worker processes and its store; only the fork server is left out: workers fork from the command itself.

Orders come as one JSON object a line, outcomes go the same way.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing import Value
from pathlib import Path
from typing import Any, Literal

import psutil

from penstock.pipelines.runners.lock import LOCK

Kind = Literal["none", "command", "worker", "all", "point", "interrupt"]
"""What is killed: nothing; the command, one of its workers or all at once after some seconds; all at a point. Or the
command gets Ctrl-C after some seconds."""


@dataclass(frozen=True)
class Order:
    """One run.

    Attributes:
        file: The config.
        settings: Its ``--set`` options.
        kind: What to kill.
        at: Seconds after the start, or the number of the point from 0.
        after: A glob, from the config's folder: the seconds count from when such a file is there.
        patience: Seconds that a store which cannot be reached is tried again; None for as long as usual.
    """

    file: str
    settings: tuple[str, ...] = ()
    kind: Kind = "none"
    at: float = 0.0
    after: str = ""
    patience: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        points: Writes to the store, and folders made, renamed and removed, that it came to; a count.
        killed: Whether something was killed.
        seconds: Wall time.
        states: Step → what became of it; empty where the command was killed.
        error: What it ended with, where it could not run at all.
    """

    points: int
    killed: bool
    seconds: float
    states: dict[str, str]
    error: str | None = None


class _Points:
    """Counts what a run writes, in all its processes, and kills all of them at one."""

    def __init__(self, at: int | None) -> None:
        self.count = Value("i", 0)
        self._at = at
        self._command = os.getpid()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*args: Any, **kwargs: Any) -> Any:
            self.reached()
            return function(*args, **kwargs)

        return passing

    def reached(self) -> None:
        with self.count.get_lock():
            self.count.value += 1
            here = self.count.value - 1
        if here == self._at:
            os.kill(self._command, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def arm(self) -> None:
        from ml_metadata.metadata_store import MetadataStore
        from tfx.dsl.io import fileio

        call = MetadataStore._call

        def passing(store: Any, method: str, *args: Any) -> Any:
            writes = method.startswith("Put")
            if writes:
                self.reached()
            answer = call(store, method, *args)
            if writes:
                self.reached()
            return answer

        MetadataStore._call = passing
        for name in ("makedirs", "rmtree", "remove", "rename"):
            setattr(fileio, name, self.before(getattr(fileio, name)))
        for name in ("rename", "replace", "mkdir", "rmdir", "unlink"):
            setattr(os, name, self.before(getattr(os, name)))


class _Deaf:
    """Hears nothing of a run."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def _without_lock() -> None:
    """Let go of the root's lock in a worker; real ones come from the fork server, which never had it.

    Else a worker that outlives its command by a moment would keep the next run out.
    """
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if descriptor.readlink().name == LOCK:
                os.dup2(os.open(os.devnull, os.O_RDONLY), int(descriptor.name))
        except FileNotFoundError:
            continue  # That of the folder itself.


def _command(order: Order, points: _Points, answer: int) -> None:
    """Be ``penstock run``, in a process of its own."""
    from penstock.components.pusher import push as pushing
    from penstock.components.pusher.gate import GateReport
    from penstock.errors import PenstockError
    from penstock.metadata import retrying
    from penstock.pipelines.config import load
    from penstock.pipelines.runners import local
    from penstock.pipelines.runners.jobs import Selection
    from penstock.pipelines.runners.workers import Workers

    class Forked(Workers):
        def __init__(self, project: Path, log: Path) -> None:
            self._project, self._log, self.environment = project, log, {}
            self._context = multiprocessing.get_context("fork")  # type: ignore[assignment]

    os.setsid()
    os.register_at_fork(after_in_child=_without_lock)
    vars(local)["Workers"] = Forked
    vars(pushing)["pass_gate"] = lambda model, timeout: GateReport(0)
    if order.patience is not None:
        vars(retrying)["PATIENCE_SECONDS"] = order.patience
    points.arm()
    said: dict[str, Any] = {"states": {}, "error": None}
    try:
        loaded = load(order.file, order.settings)
        result = local.LocalRunner(loaded, Selection(), _Deaf()).run()
        said["states"] = {step.name: step.state for step in result.steps}
        said["error"] = next((str(step.error) for step in result.steps if step.error), None)
    except PenstockError as error:
        said["error"] = str(error)
    except BaseException:  # noqa: BLE001  Whatever ends a child is the parent's to judge.
        said["error"] = f"not told: {traceback.format_exc()}"
    os.write(answer, json.dumps(said).encode())


def attempt(order: Order) -> Outcome:
    """Run once and kill as ordered."""
    points = _Points(int(order.at) if order.kind == "point" else None)
    answer, answer_in = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(answer)
        vars(points)["_command"] = os.getpid()
        _command(order, points, answer_in)
        os._exit(0)
    os.close(answer_in)
    killed = False
    if order.kind in ("command", "worker", "all", "interrupt"):
        killed = _kill(child, order, began)
    with os.fdopen(answer, "rb") as pipe:
        text = _all_of(pipe, child)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - began
    killed |= os.WIFSIGNALED(status)
    said = json.loads(text) if text else {"states": {}, "error": None}
    return Outcome(points.count.value, killed, round(seconds, 3), **said)


def _all_of(pipe: Any, child: int) -> bytes:
    """Read what the command says; workers that outlive it hold the pipe open, so its end is not the pipe's."""
    os.set_blocking(pipe.fileno(), False)
    found = b""
    while True:
        chunk = pipe.read()
        found += chunk or b""
        if chunk == b"" or (chunk is None and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
            return found + (pipe.read() or b"" if chunk is None else b"")
        time.sleep(0.005)


def _kill(child: int, order: Order, began: float) -> bool:
    """Wait for the moment, then kill; False where there was nothing to kill any more."""
    while order.after and not any(Path(order.file).parent.glob(order.after)):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.01)
        began = time.monotonic()
    while time.monotonic() - began < order.at:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.002)
    family = _family(child)
    if order.kind in ("command", "interrupt"):
        chosen = [child]
    elif order.kind == "worker":
        chosen = [random.choice(family)] if family else []
    else:
        chosen = [child, *family]
    for pid in chosen:
        try:
            os.kill(pid, signal.SIGINT if order.kind == "interrupt" else signal.SIGKILL)
        except ProcessLookupError:
            continue
    return bool(chosen)


def _family(child: int) -> list[int]:
    try:
        return [process.pid for process in psutil.Process(child).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class Runs:
    """The process that forks, seen from the one that orders."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, order: Order) -> Outcome:
        """Run once."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the process has no pipes")
        stdin.write(json.dumps(asdict(order)) + "\n")
        stdin.flush()
        return Outcome(**json.loads(stdout.readline()))


@contextmanager
def runs(log: Path) -> Iterator[Runs]:
    """Start the process that forks; it ends with the block. What it prints goes to ``log``."""
    command = [sys.executable, "-m", __name__]
    with (
        log.open("ab") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        yield Runs(process)
        if process.stdin is not None:
            process.stdin.close()


def main() -> None:
    """Attempt what is ordered on standard input."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"
    import_module("penstock.pipelines.runners.preload")
    orders, outcomes = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with os.fdopen(orders) as lines, os.fdopen(outcomes, "w") as answers:
        for line in lines:
            data = json.loads(line)
            outcome = attempt(Order(**{**data, "settings": tuple(data["settings"])}))
            answers.write(json.dumps(asdict(outcome)) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
