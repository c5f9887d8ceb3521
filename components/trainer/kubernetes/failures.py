"""Pods that failed: why, in the words of the task itself where it left any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penstock.components.trainer.cluster.error_files import read_error
from penstock.components.trainer.cluster.failures import Cause, Failure, told_by
from penstock.components.trainer.kubernetes.pod import error_path
from penstock.components.trainer.kubernetes.pods import PodState
from penstock.errors import EnvironmentProblem, PenstockError


def failure_of(pod: PodState, errors: Path, last_lines: Sequence[str], place: str) -> Failure | None:
    """Return why a pod failed, None when it did not.

    Args:
        pod: The pod.
        errors: Folder in which tasks say why they failed, as :func:`error_path` names its files.
        last_lines: The end of the pod's log.
        place: The job.
    """
    told = read_error(error_path(errors.parent, pod.task))
    if told is None or pod.killed:
        return _died(pod, last_lines, place)
    return told_by(pod.task, told, hint=f"the lines of {pod.task} in this step's log tell more")


def no_cause(place: str, message: str) -> PenstockError:
    """Return the error of a job that failed without a pod that tells why."""
    return EnvironmentProblem(
        "the training job failed",
        where=place,
        received=message,
        hint="the events of the job tell more while it is there: raise cluster.timeout if it was active for too long",
    )


def _died(pod: PodState, last_lines: Sequence[str], place: str) -> Failure | None:
    if pod.ending is None:
        return None
    error = EnvironmentProblem(
        f"{pod.task} {pod.ending}",
        where=f"{place}, pod {pod.name}",
        received="\n    ".join(["these last lines of its log:", *last_lines]) if last_lines else "no output",
        hint=f"the lines of {pod.task} in this step's log tell more",
    )
    return Failure(pod.task, Cause.KILLED if pod.killed else Cause.UNEXPLAINED, pod.ending, error)
