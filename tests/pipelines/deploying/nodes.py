"""Task details as Kubeflow's API makes them of a workflow's nodes.

They have no errors, as the server fills none in, and a node calls its children by other ids than their pods' names.
What comes after an executor is its child too.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from kfp_server_api import PipelineTaskDetailChildTask, V2beta1PipelineTaskDetail

_START = datetime(2026, 11, 30, 12, tzinfo=UTC)
_NEVER = "0001-01-01T00:00:00Z"


def tasks(**states: str) -> list[Any]:
    """Return the nodes of a run: step → what it does (``driver``, ``pending``, ``running``, ``ran``, ``cached``, …)."""
    nodes = [_node("p-x7k2l", "RUNNING", "p-x7k2l"), _node("root-driver", "SUCCEEDED", "system-dag-driver")]
    steps = list(states)
    for number, (step, state) in enumerate(states.items()):
        nodes += _step(step, state, number, [f"{after}-driver" for after in steps[number + 1 : number + 2]])
    return nodes


def pod(step: str) -> str:
    """Return the name of the pod that a step's own container runs in."""
    return _pod("system-container-impl", f"{step}.executor")


def _step(step: str, state: str, number: int, after: list[str]) -> list[Any]:
    driver_state = {"driver": "RUNNING", "driver failed": "FAILED"}.get(state, "SUCCEEDED")
    driver = _node(f"{step}-driver", driver_state, "system-container-driver", number)
    if state in ("driver", "driver failed"):
        return [driver]
    if state == "omitted":
        return [_node(step, None, "system-container-executor", number)]
    own = {"pending": "RUNNING", "running": "RUNNING", "failed": "FAILED", "canceled": "FAILED"}.get(state, "SUCCEEDED")
    executor = {"pending": "PENDING", "cached": "SKIPPED", "ran": "SUCCEEDED"}.get(state, own)
    return [
        driver,
        _node(step, own, "system-container-executor", number, _children(f"{step}.executor")),
        _node("executor", executor, "system-container-impl", number, _children(*after), key=f"{step}.executor"),
    ]


def _node(
    name: str,
    state: str | None,
    template: str,
    number: int = 0,
    children: list[Any] | None = None,
    *,
    key: str | None = None,
) -> Any:
    start = _START + timedelta(seconds=10 * number)
    return V2beta1PipelineTaskDetail(
        run_id="run-1",
        display_name=name,
        create_time=_START.isoformat(),
        start_time=start.isoformat(),
        end_time=(start + timedelta(seconds=7)).isoformat() if state in ("SUCCEEDED", "FAILED", "SKIPPED") else _NEVER,
        state=state,
        pod_name=_pod(template, key or name),
        child_tasks=children,
    )


def _children(*keys: str) -> list[Any]:
    return [PipelineTaskDetailChildTask(pod_name=f"p-x7k2l-{_hash(key)}") for key in keys]


def _pod(template: str, key: str) -> str:
    return f"p-x7k2l-{template}-{_hash(key)}"


def _hash(key: str) -> int:
    return zlib.crc32(key.encode())
