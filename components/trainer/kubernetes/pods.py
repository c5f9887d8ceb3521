"""What the pods of a job say about themselves: how far they are, and why one does not start or has ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penstock.components.trainer.cluster.topology import TASK_TYPES, Task
from penstock.components.trainer.kubernetes.manifest import CONTAINER, INDEX_LABEL, TYPE_LABEL

_HOPELESS = {
    "ImagePullBackOff": "the image cannot be fetched",
    "ErrImageNeverPull": "the image is not on the node, and cluster.image_pull_policy forbids to fetch it",
    "InvalidImageName": "this is no name of an image",
    "CreateContainerConfigError": "a secret, key or variable that the container needs is not there",
    "CreateContainerError": "the container cannot be made",
    "RunContainerError": "the container cannot be started",
}
_OUT_OF_MEMORY = 137


@dataclass(frozen=True)
class PodState:
    """One pod, as the API shows it.

    Attributes:
        task: The task that it runs.
        name: Its name.
        uid: Its number: a pod that starts in the place of another has a new one.
        phase: Kubernetes's word: Pending, Running, Succeeded, Failed or Unknown.
        started: Whether its container has run, so that there is a log.
        restarts: How often its container was started again in its place, a count.
        waiting: Why its container does not start; None when it does, or when nothing is wrong with that.
        hopeless: Whether it never will.
        ending: How it ended, as the end of a sentence about the task; None while it runs, and when it ended well.
        killed: Whether the cluster ended it: it was evicted, or out of memory.
    """

    task: Task
    name: str
    uid: str
    phase: str
    started: bool = False
    restarts: int = 0
    waiting: str | None = None
    hopeless: bool = False
    ending: str | None = None
    killed: bool = False


def pod_states(pods: Iterable[Any]) -> list[PodState]:
    """Return the pods of a job in the order of their tasks; pods of other kinds are left out."""
    states = [state for pod in pods if (state := _state(pod)) is not None]
    return sorted(states, key=lambda state: (TASK_TYPES.index(state.task.type), state.task.index, state.name))


def _state(pod: Any) -> PodState | None:
    labels = pod.metadata.labels or {}
    kind, index = labels.get(TYPE_LABEL, "").lower(), labels.get(INDEX_LABEL, "")
    if kind not in TASK_TYPES or not index.isdigit():
        return None
    status = pod.status
    container = next((item for item in status.container_statuses or () if item.name == CONTAINER), None)
    now = container.state if container is not None else None
    ended = now.terminated if now is not None else None
    waiting, hopeless = _waiting(status, now.waiting if now is not None else None)
    ending, killed = _ending(status, ended)
    return PodState(
        task=Task(kind, int(index)),
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        phase=status.phase or "Unknown",
        started=now is not None and (now.running is not None or ended is not None),
        restarts=container.restart_count if container is not None else 0,
        waiting=waiting,
        hopeless=hopeless,
        ending=ending,
        killed=killed,
    )


def _waiting(status: Any, waiting: Any) -> tuple[str | None, bool]:
    if waiting is not None and waiting.reason in _HOPELESS:
        return f"{_HOPELESS[waiting.reason]} ({waiting.reason}): {waiting.message or 'no details'}", True
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"no node takes it ({condition.reason}): {condition.message or 'no details'}", False
    if waiting is not None and waiting.reason not in (None, "ContainerCreating", "PodInitializing"):
        return f"{waiting.reason}: {waiting.message or 'no details'}", False
    return None, False


def _ending(status: Any, ended: Any) -> tuple[str | None, bool]:
    if status.reason in ("Evicted", "Preempting", "NodeLost", "Shutdown", "Terminated"):
        return f"was ended by the cluster ({status.reason}: {status.message or 'no details'})", True
    if ended is None:
        return ("failed" if status.phase == "Failed" else None), False
    if ended.reason == "OOMKilled" or (ended.exit_code == _OUT_OF_MEMORY and ended.reason in (None, "Error")):
        detail = "out of memory: raise cluster.resources" if ended.reason == "OOMKilled" else "SIGKILL"
        return f"was killed ({detail})", True
    if ended.exit_code == 0:
        return None, False
    return f"ended with exit code {ended.exit_code}", False
