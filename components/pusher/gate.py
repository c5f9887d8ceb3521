"""The predict gate: a model that cannot be loaded, or cannot answer its warm-up requests, is not published.

The copy that is about to be published is loaded in a process of its own, as a model server would: nothing that the
pipeline holds in memory can help it, and nothing that it does can harm the pipeline. ``python -m
penstock.components.pusher.gate FOLDER`` asks one model by hand.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError, from_dict
from penstock.serving.errors import ServingError

_REPORT = "penstock gate report: "
"""What the line begins with by which the process tells its outcome; a model may print other lines."""
_LAST_LINES = 5
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class GateReport:
    """What a model did in the gate: how many warm-up requests it answered."""

    requests: int

    def __str__(self) -> str:
        if not self.requests:
            return "the model loads in a clean process; it carries no warm-up requests"
        return f"the model answered {self.requests} warm-up requests in a clean process"


def pass_gate(model: Path, timeout: float) -> GateReport:
    """Load a SavedModel in a clean process and let it answer the warm-up requests that it carries.

    Args:
        model: Folder of the SavedModel.
        timeout: Seconds that it may take.

    Raises:
        ArtifactError: It cannot be loaded or cannot answer, ended the process, or took too long.
        EnvironmentProblem: The process could not be started.
    """
    command = [sys.executable, "-m", __name__, str(model)]
    # Whatever this process imports from, the clean one does too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        ended = subprocess.run(  # noqa: S603  The command is ours, and no shell reads it.
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(
            model, f"it neither answered nor failed in {timeout:g} s", "raise `gate_timeout` if it needs longer"
        ) from error
    except OSError as error:
        raise EnvironmentProblem(f"the predict gate cannot be started: {error}", received=" ".join(command)) from error
    reports = [line for line in ended.stdout.splitlines() if line.startswith(_REPORT)]
    if not reports:
        raise _refused(model, f"its process {_end(ended.returncode)}", f"its last words: {_last_lines(ended.stderr)}")
    report = json.loads(reports[-1].removeprefix(_REPORT))
    if "error" in report:
        raise from_dict(report["error"])
    return GateReport(**report)


def ask(model: Path) -> GateReport:
    """Do the gate's work in this process, with what the embedded server loads and warms models with.

    Raises:
        ArtifactError: The model cannot be loaded or cannot answer.
    """
    from penstock.serving.models.loader import load_servable
    from penstock.serving.models.warmup import replay

    try:
        servable = load_servable(model.name, 0, model, warm_up=False)
        try:
            return GateReport(replay(servable, model))
        finally:
            servable.close()
    except ServingError as error:
        raise _refused(
            model, error.message, "ask it by hand: python -m penstock.components.pusher.gate FOLDER"
        ) from error


def _refused(model: Path, what: str, hint: str) -> ArtifactError:
    return ArtifactError(
        f"the model did not pass the predict gate: {what}",
        where=str(model),
        expected="a SavedModel that loads in a clean process and answers its warm-up requests",
        hint=hint,
    )


def _end(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_lines(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-_LAST_LINES:]) or "none"


def _end_with_parent(parent: int) -> None:
    """Let the kernel end this process with the one that waits for it: nobody is left to read the report."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Ask the model in the folder given, and print the outcome as one line."""
    _end_with_parent(os.getppid())
    try:
        report: dict[str, Any] = asdict(ask(Path(sys.argv[1])))
    except PenstockError as error:
        report = {"error": error.to_dict()}
    sys.stdout.write(f"\n{_REPORT}{json.dumps(report)}\n")
    sys.exit("error" in report)


if __name__ == "__main__":
    main()
