"""Asks a model in a process of its own: the pipeline's memory cannot help it, and it cannot harm the pipeline."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError, from_dict

_REPORT = "penstock gate report: "
"""What the line begins with by which the process tells its outcome; a model may print other lines."""
_LAST_LINES = 5
_PR_SET_PDEATHSIG = 1

Refused = Callable[[str, str], ArtifactError]
"""Makes the error for a model that did not pass, of what it did and of a hint."""


def ask_in_clean_process(module: str, model: Path, timeout: float, refused: Refused) -> dict[str, Any]:
    """Run a module that calls :func:`tell` in a process of its own, and return what it reports.

    Args:
        module: The module's name.
        model: Folder of the model, the module's one argument.
        timeout: Seconds that it may take.
        refused: Makes the error for a process that reports nothing.

    Raises:
        PenstockError: What the process reported as such.
        ArtifactError: The model ended the process, or took too long.
        EnvironmentProblem: The process could not be started.
    """
    command = [sys.executable, "-m", module, str(model)]
    # Whatever this process imports from, the clean one does too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        ended = subprocess.run(  # noqa: S603  The command is ours, and no shell reads it.
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise refused(
            f"it neither answered nor failed in {timeout:g} s", "raise `gate_timeout` if it needs longer"
        ) from error
    except OSError as error:
        raise EnvironmentProblem(f"the predict gate cannot be started: {error}", received=" ".join(command)) from error
    reports = [line for line in ended.stdout.splitlines() if line.startswith(_REPORT)]
    if not reports:
        raise refused(f"its process {_end(ended.returncode)}", f"its last words: {_last_lines(ended.stderr)}")
    report: dict[str, Any] = json.loads(reports[-1].removeprefix(_REPORT))
    if "error" in report:
        raise from_dict(report["error"])
    return report


def tell(ask: Callable[[Path], dict[str, Any]]) -> None:
    """Ask the model in the folder given on the command line, print the outcome as one line, and exit."""
    _end_with_parent(os.getppid())
    try:
        report = ask(Path(sys.argv[1]))
    except PenstockError as error:
        report = {"error": error.to_dict()}
    sys.stdout.write(f"\n{_REPORT}{json.dumps(report)}\n")
    sys.exit("error" in report)


def _end(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_lines(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-_LAST_LINES:]) or "none"


def _end_with_parent(parent: int) -> None:
    """Let the kernel end this process with the one that waits for it: nobody is left to read the report."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
