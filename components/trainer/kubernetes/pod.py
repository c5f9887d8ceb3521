"""The program of a training job's pods: ``python -m penstock.components.trainer.kubernetes.pod FOLDER``.

It is the program of any task of a cluster, :mod:`penstock.components.trainer.task`, with what a pod needs besides: what
it shows on the terminal goes through its log, its exit code tells the operator whether to start it again, and it ends
when nobody waits for it any more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from threading import Lock

from penstock.components.trainer import task
from penstock.components.trainer.cluster.environment import assigned_task
from penstock.components.trainer.cluster.error_files import ERROR_VARIABLE, TaskError, read_error, record_error
from penstock.components.trainer.cluster.topology import Task
from penstock.components.trainer.kubernetes import heartbeat
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem, PenstockError, UserCodeError
from penstock.reporting import LogSink

START_AGAIN = 138
"""The operator starts pods again that end with 128 or more, under the policy ExitCode; it leaves 138 to programs."""
MARK = "@penstock "
"""How a line of the log begins that is for the step's terminal: the mark, ``status`` or ``note``, and the text."""
_ALONE = {"cluster": {"chief": ["localhost:2222"]}, "task": {"type": "chief", "index": 0}}
_PERIOD_SECONDS = 2.0


class MarkedLines:
    """Writes what a task reports as marked lines of its log, at most one status in two seconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._log = LogSink()
        self._told = 0.0

    def status(self, text: str) -> None:
        """Write the status if the last one is old enough."""
        now = time.monotonic()
        if now - self._told >= _PERIOD_SECONDS:
            self._told = now
            self._write("status", " ".join(text.splitlines()))

    def note(self, text: str) -> None:
        """Write each line, into the plain log too."""
        self._log.note(text)
        for line in text.splitlines():
            self._write("note", line)

    def _write(self, kind: str, text: str) -> None:
        with self._lock:
            sys.stdout.write(f"{MARK}{kind} {text}\n")
            sys.stdout.flush()


def main(folder: Path, environ: MutableMapping[str, str] = os.environ) -> int:
    """Run one task; return the process's exit code."""
    # The operator describes no cluster to a job of one pod.
    environ.setdefault("TF_CONFIG", json.dumps(_ALONE))
    try:
        _, own = assigned_task(environ)
        _require(folder)
    except PenstockError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    error_file = error_path(folder, own)
    error_file.unlink(missing_ok=True)
    environ[ERROR_VARIABLE] = str(error_file)
    heartbeat.watch(folder, _end_alone)
    return _exit_code(task.main(folder, MarkedLines()), error_file)


def error_path(folder: Path, own: Task) -> Path:
    """Return the file in which a task of a job says why it failed."""
    return folder / "errors" / f"{own.slug}.json"


def _require(folder: Path) -> None:
    if not (folder / task.REQUEST).is_file():
        raise EnvironmentProblem(
            "this pod does not see the folder of its job",
            where=str(folder),
            expected=f"{task.REQUEST}, which the Trainer's step has put there",
            hint="mount the same claim in the step and in the pods: cluster.volumes, kubeflow.volumes",
        )


def _exit_code(code: int, error_file: Path) -> int:
    """Return the code that says whether the task may succeed when it is started again."""
    told = read_error(error_file) if code else None
    if told is None:
        return code
    users_fault = isinstance(told.error, UserCodeError | ConfigError | ArtifactError)
    return code if users_fault and not told.peer_lost else START_AGAIN


def _end_alone() -> None:
    error = EnvironmentProblem(
        "the step that started this job is gone",
        received=f"no sign of it for {heartbeat.PATIENCE_SECONDS:.0f} s",
        hint="run the pipeline again: the training goes on from its last checkpoint",
    )
    sys.stderr.write(f"{error}\n")
    record_error(TaskError(error))
    sys.stderr.flush()
    os._exit(1)  # A permanent error: nobody waits for another try. The training's own threads cannot hold it up.


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
