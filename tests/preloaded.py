"""Runs ``python -m MODULE …`` in forks of a process that has imported TensorFlow and TFX, for tests that run many.

The imports take a process seconds of CPU time, and most of a small run. A command that is run here is a process of its
own as ever: its arguments, folder, environment, output and exit code are those of ``python -m``, and its fork server is
the real one, with its protocol and its workers; both are forked where they would be started anew. What that cannot
find, an import that is missing or comes in another order, is left to the tests that start the real command. What a
command starts by itself, as the Pusher's clean process and the tasks of a training, is started anew.

Orders come as one JSON object a line, exit codes go the same way: ``python -m tests.preloaded``.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing import util
from pathlib import Path
from typing import Any, NoReturn

REPOSITORY = Path(__file__).parents[1]
_IMPORTED = (
    "penstock.pipelines.runners.preload",
    "penstock.pipelines.cli",
    # What most steps import for themselves.
    "penstock.pipelines.runners.handle",
    "penstock.pipelines.runners.launch",
    "penstock.components.batch_inference.infer",
    "penstock.components.pusher.push",
    "setuptools",
)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Order:
    """One command: ``python -m module arguments…``; its output goes to two files."""

    module: str
    arguments: tuple[str, ...]
    cwd: str
    environment: dict[str, str]
    stdout: str
    stderr: str

    def printed(self) -> tuple[str, str]:
        """Return what stands in the two files."""
        out, err = (Path(file).read_text(encoding="utf-8") for file in (self.stdout, self.stderr))
        return out, err


class Preloaded:
    """The process that forks, seen from the one that orders; it starts with the first order."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, module: str, *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a module as the main one and return what it printed.

        Args:
            module: As after ``python -m``.
            arguments: Its arguments.
            cwd: The working directory, and the first folder that it imports from.
            environment: All its variables; those of this process where None.
        """
        with tempfile.TemporaryDirectory(prefix="preloaded-") as name:
            variables = dict(os.environ if environment is None else environment)
            order = Order(module, arguments, str(cwd), variables, f"{name}/stdout", f"{name}/stderr")
            code = self._ask(order)
            return subprocess.CompletedProcess([module, *arguments], code, *order.printed())

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, order: Order) -> int:
        process = self._process = self._process or _started()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process has no pipes")
        try:
            process.stdin.write(json.dumps(asdict(order)) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())
        except BaseException:
            # Its next answer would be that to this order.
            self.close()
            raise


PRELOADED = Preloaded()
"""One for all tests of a process, which ends with it."""
atexit.register(PRELOADED.close)


def _started() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", __name__]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _fork_server_is_forked() -> None:
    """Let ``multiprocessing`` fork its fork server from this process, which has imported what that would import."""
    spawn = util.spawnv_passfds

    def forked(path: Any, arguments: Sequence[Any], descriptors: Sequence[int]) -> int:
        code = str(arguments[-1])
        if not code.startswith("from multiprocessing.forkserver import main"):
            return spawn(path, arguments, descriptors)
        pid = os.fork()
        if pid == 0:
            try:
                _close_all_but(descriptors)
                exec(code, {})
            finally:
                os._exit(1)
        return pid

    vars(util)["spawnv_passfds"] = forked


def _close_all_but(descriptors: Sequence[int]) -> None:
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number not in (0, 1, 2, *descriptors):
            with suppress(OSError):  # The one that listed them is closed already.
                os.close(number)


def _be(order: Order) -> NoReturn:
    """Be the command, in a process of its own, which ends with the one that it was forked from."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, file in ((1, order.stdout), (2, order.stderr)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        os.environ.clear()
        os.environ.update(order.environment)
        os.chdir(order.cwd)
        sys.path[0] = order.cwd
        _fork_server_is_forked()
        code = _outcome(order)
        vars(util)["_exit_function"]()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  Whatever ends a child is told by it.
        traceback.print_exc()
    finally:
        os._exit(code)


def _outcome(order: Order) -> int:
    """Run the module and return the exit code that Python would end with."""
    import runpy

    sys.argv = [order.module, *order.arguments]
    try:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    return 0


def main() -> None:
    """Do what is ordered on standard input."""
    from penstock.pipelines.runners.workers import QUIET

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for module in _IMPORTED:
        import_module(module)
    orders, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with os.fdopen(orders) as lines, os.fdopen(answers, "w") as codes:
        for line in lines:
            data = json.loads(line)
            child = os.fork()
            if child == 0:
                lines.close()
                codes.close()
                _be(Order(**{**data, "arguments": tuple(data["arguments"])}))
            _, status = os.waitpid(child, 0)
            codes.write(f"{os.waitstatus_to_exitcode(status)}\n")
            codes.flush()


if __name__ == "__main__":
    # By its name, so that what is defined here is found by it in processes that multiprocessing starts.
    import_module("tests.preloaded").main()
