from __future__ import annotations

import json
import subprocess
import sys

import pytest

from penstock.components.trainer.cluster.topology import Cluster, Task, require_strategy
from penstock.components.trainer.strategy_options import STRATEGIES, StrategyOptions
from penstock.errors import ConfigError

MIRRORED = Cluster({"worker": ("a:1", "b:1")})
WITH_CHIEF = Cluster({"chief": ("a:1",), "worker": ("b:1", "c:1")})
SERVERS = Cluster({"ps": ("d:1",), "worker": ("b:1", "c:1"), "chief": ("a:1",)})


def options(name: str) -> StrategyOptions:
    return STRATEGIES[name].model_validate({"name": name})


class TestCluster:
    def test_tasks_are_in_order(self) -> None:
        assert [str(task) for task in SERVERS.tasks] == ["chief 0", "worker 0", "worker 1", "ps 0"]

    @pytest.mark.parametrize(
        ("cluster", "chief", "workers", "training"),
        [
            (MIRRORED, "worker 0", 2, ["worker 0", "worker 1"]),
            (WITH_CHIEF, "chief 0", 3, ["chief 0", "worker 0", "worker 1"]),
            (SERVERS, "chief 0", 2, ["chief 0"]),
            (
                Cluster({**WITH_CHIEF.addresses, "evaluator": ("e:1",)}),
                "chief 0",
                3,
                ["chief 0", "worker 0", "worker 1"],
            ),
        ],
    )
    def test_who_does_what(self, cluster: Cluster, chief: str, workers: int, training: list[str]) -> None:
        assert str(cluster.chief) == chief
        assert [str(task) for task in cluster.tasks if cluster.is_chief(task)] == [chief]
        assert cluster.workers == workers
        assert [str(task) for task in cluster.training_tasks] == training

    def test_tf_config(self) -> None:
        assert json.loads(SERVERS.tf_config(Task("worker", 1))) == {
            "cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]},
            "task": {"type": "worker", "index": 1},
        }

    def test_tf_config_lists_no_evaluator(self) -> None:
        cluster = Cluster({"worker": ("a:1",), "evaluator": ("b:1",)})
        assert json.loads(cluster.tf_config(Task("worker", 0)))["cluster"] == {"worker": ["a:1"]}

    def test_in_words(self) -> None:
        assert str(Cluster({**SERVERS.addresses, "ps": ("d:1", "e:1")})) == "1 chief, 2 workers, 2 ps"

    def test_task_in_a_file_name(self) -> None:
        assert Task("worker", 1).slug == "worker-1"


class TestRequireStrategy:
    @pytest.mark.parametrize(
        ("name", "cluster"),
        [("multi_worker_mirrored", MIRRORED), ("multi_worker_mirrored", WITH_CHIEF), ("parameter_server", SERVERS)],
    )
    def test_suitable(self, name: str, cluster: Cluster) -> None:
        require_strategy(cluster, options(name))

    @pytest.mark.parametrize(
        ("name", "cluster", "message"),
        [
            (
                "multi_worker_mirrored",
                SERVERS,
                (
                    "strategy 'multi_worker_mirrored' has nothing to do for a ps, and would wait for it for ever\n"
                    "  received: a cluster of 1 chief, 2 workers, 1 ps\n"
                    "  expected: workers, and at most 1 chief\n"
                    "  next: set strategy: parameter_server, or leave the ps tasks out"
                ),
            ),
            (
                "multi_worker_mirrored",
                Cluster({"evaluator": ("a:1",)}),
                (
                    "strategy 'multi_worker_mirrored' needs a worker, and the cluster has none\n"
                    "  received: a cluster of 1 evaluator\n"
                    "  expected: workers, and at most 1 chief\n"
                    "  next: add workers to the cluster"
                ),
            ),
            (
                "parameter_server",
                MIRRORED,
                (
                    "strategy 'parameter_server' needs a chief and a ps, and the cluster has none\n"
                    "  received: a cluster of 2 workers\n"
                    "  expected: 1 chief, and at least 1 worker and 1 ps\n"
                    "  next: add the tasks to the cluster, or set strategy: multi_worker_mirrored"
                ),
            ),
            (
                "parameter_server",
                Cluster({"worker": ("a:1",), "ps": ("b:1",)}),
                (
                    "strategy 'parameter_server' needs a chief, and the cluster has none\n"
                    "  received: a cluster of 1 worker, 1 ps\n"
                    "  expected: 1 chief, and at least 1 worker and 1 ps\n"
                    "  next: add the tasks to the cluster"
                ),
            ),
            (
                "mirrored",
                MIRRORED,
                (
                    "strategy 'mirrored' trains on one machine: each task of the cluster would train the same model\n"
                    "  received: a cluster of 2 workers\n"
                    "  expected: no TF_CONFIG and no CLUSTER_SPEC of several tasks\n"
                    "  next: set strategy: multi_worker_mirrored or parameter_server, or run the step on one machine"
                ),
            ),
        ],
    )
    def test_unsuitable(self, name: str, cluster: Cluster, message: str) -> None:
        with pytest.raises(ConfigError) as raised:
            require_strategy(cluster, options(name))
        assert str(raised.value) == message


def test_tensorflow_is_not_imported() -> None:
    code = (
        "import sys, pkgutil, importlib, penstock.components.trainer.cluster as package\n"
        "for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "print([name for name in ('tensorflow', 'keras', 'tfx', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
