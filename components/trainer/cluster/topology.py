"""The tasks of a cluster, where they listen, and whether a strategy can run on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from penstock.components.trainer.strategy_options import (
    MultiWorkerMirroredStrategy,
    ParameterServerStrategy,
    StrategyOptions,
)
from penstock.errors import ConfigError

TaskType = Literal["chief", "worker", "ps", "evaluator"]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)


@dataclass(frozen=True)
class Task:
    """One process of a cluster.

    Args:
        type: What it does. A ``ps`` holds variables; an ``evaluator`` is no part of the training.
        index: Its number among the tasks of its type, from 0.
    """

    type: TaskType
    index: int

    def __str__(self) -> str:
        return f"{self.type} {self.index}"

    @property
    def slug(self) -> str:
        """The task as part of a file's name: ``worker-1``."""
        return f"{self.type}-{self.index}"


@dataclass(frozen=True)
class Cluster:
    """All tasks of a training.

    Args:
        addresses: ``host:port`` of each task by type, as in ``TF_CONFIG["cluster"]``; no type is empty.
    """

    addresses: Mapping[TaskType, tuple[str, ...]]

    def __str__(self) -> str:
        counts = [(len(self.addresses[kind]), kind) for kind in TASK_TYPES if kind in self.addresses]
        return ", ".join(f"{count} {kind}{'s' * (count > 1 and kind != 'ps')}" for count, kind in counts)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks: chief, workers, parameter servers, evaluators."""
        return tuple(Task(kind, index) for kind in TASK_TYPES for index, _ in enumerate(self.addresses.get(kind, ())))

    @property
    def has_servers(self) -> bool:
        """Whether this is a parameter-server cluster, in which only the chief knows when the training is over."""
        return "ps" in self.addresses

    @property
    def training_tasks(self) -> tuple[Task, ...]:
        """The tasks that end when the training does; all others serve until they are ended."""
        kinds = ("chief",) if self.has_servers else ("chief", "worker")
        return tuple(task for task in self.tasks if task.type in kinds)

    @property
    def workers(self) -> int:
        """Tasks that compute gradients, a count: a chief does too, unless there are parameter servers."""
        chiefs = 0 if self.has_servers else len(self.addresses.get("chief", ()))
        return chiefs + len(self.addresses.get("worker", ()))

    @property
    def chief(self) -> Task:
        """The task that writes what the training leaves: the chief, or worker 0 where there is none."""
        return Task("chief" if "chief" in self.addresses else "worker", 0)

    def is_chief(self, task: Task) -> bool:
        """Whether ``task`` writes model, checkpoints and logs for all."""
        return task == self.chief

    def address(self, task: Task) -> str:
        """Return the ``host:port`` that ``task`` listens on."""
        return self.addresses[task.type][task.index]

    def tf_config(self, task: Task) -> str:
        """Return the ``TF_CONFIG`` of ``task``, as JSON."""
        # TensorFlow would wait for an evaluator that is listed, and it never joins.
        cluster = {kind: list(addresses) for kind, addresses in self.addresses.items() if kind != "evaluator"}
        return json.dumps({"cluster": cluster, "task": {"type": task.type, "index": task.index}})


def require_strategy(cluster: Cluster, strategy: StrategyOptions) -> None:
    """Check that a strategy can run on a cluster that somebody else set up.

    Raises:
        ConfigError: Tasks are missing or have nothing to do, or the strategy trains on one machine.
    """
    if isinstance(strategy, ParameterServerStrategy):
        missing = [kind for kind in ("chief", "worker", "ps") if kind not in cluster.addresses]
        if missing:
            raise _unsuitable(
                f"strategy 'parameter_server' needs a {' and a '.join(missing)}, and the cluster has none",
                cluster,
                expected="1 chief, and at least 1 worker and 1 ps",
                hint="add the tasks to the cluster"
                + (", or set strategy: multi_worker_mirrored" if "ps" in missing else ""),
            )
    elif isinstance(strategy, MultiWorkerMirroredStrategy):
        if cluster.has_servers:
            raise _unsuitable(
                "strategy 'multi_worker_mirrored' has nothing to do for a ps, and would wait for it for ever",
                cluster,
                expected="workers, and at most 1 chief",
                hint="set strategy: parameter_server, or leave the ps tasks out",
            )
        if cluster.workers == 0:
            raise _unsuitable(
                "strategy 'multi_worker_mirrored' needs a worker, and the cluster has none",
                cluster,
                expected="workers, and at most 1 chief",
                hint="add workers to the cluster",
            )
    else:
        raise _unsuitable(
            f"strategy {strategy.name!r} trains on one machine: each task of the cluster would train the same model",
            cluster,
            expected="no TF_CONFIG and no CLUSTER_SPEC of several tasks",
            hint="set strategy: multi_worker_mirrored or parameter_server, or run the step on one machine",
        )


def _unsuitable(what: str, cluster: Cluster, *, expected: str, hint: str) -> ConfigError:
    return ConfigError(what, received=f"a cluster of {cluster}", expected=expected, hint=hint)
