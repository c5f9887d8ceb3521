"""What may stand under the Trainer's ``cluster:``, and what is said of what may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from penstock.components.trainer.cluster_options import KubernetesLauncher, LocalLauncher
from penstock.components.trainer.config import TrainerConfig

CLUSTER: dict[str, Any] = {
    "launcher": "kubernetes",
    "shared": "/mnt/training",
    "volumes": [{"claim": "training", "path": "/mnt"}],
}
BASE: dict[str, Any] = {"model_fn": "m.build", "label": "y", "strategy": "multi_worker_mirrored"}


def config(cluster: Any = CLUSTER, **options: Any) -> TrainerConfig:
    return TrainerConfig.model_validate({**BASE, "cluster": cluster, **options})


def told(cluster: Any = CLUSTER, **options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        config(cluster, **options)
    (error,) = caught.value.errors()
    return error["msg"].removeprefix("Value error, ")


def test_processes_are_started_on_this_machine_by_default() -> None:
    assert TrainerConfig.model_validate(BASE).cluster == LocalLauncher()


def test_it_survives_json() -> None:
    made = config()
    assert isinstance(made.cluster, KubernetesLauncher)
    assert TrainerConfig.model_validate_json(made.model_dump_json(by_alias=True)) == made


@pytest.mark.parametrize("strategy", ["default", "mirrored", "tpu"])
def test_a_job_needs_a_strategy_of_several_processes(strategy: str) -> None:
    assert told(strategy=strategy) == (
        f"cluster.launcher: kubernetes starts the processes of a cluster, and strategy {strategy} has one process; set "
        "strategy: multi_worker_mirrored or parameter_server, or leave cluster out"
    )


def test_logical_devices_are_for_one_machine() -> None:
    assert told(runtime={"logical_devices": {"cpu": 2}}).startswith(
        "runtime.logical_devices is for trying a strategy on one machine"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shared": "/other"}, "shared: /other lies on none of the volumes that the pods mount (/mnt)"),
        ({"volumes": []}, "lies on none of the volumes that the pods mount (none)"),
        ({"volumes": [{"claim": "a", "path": "/mnt", "read_only": True}]}, "a volume that is mounted read_only"),
        ({"volumes": [{"claim": "a", "path": "/mnt"}, {"claim": "b", "path": "/mnt/"}]}, "two volumes are mounted at"),
        ({"shared": "training"}, "'training' is no absolute path below '/'"),
        ({"namespace": "Team_A"}, "'Team_A' is no name of a namespace"),
        ({"service_account": "a b"}, "'a b' is no name of a Kubernetes object"),
        ({"environment": {"A-B": "1"}}, "'A-B' is no name of an environment variable"),
        ({"environment": {"TF_CONFIG": "{}"}}, "TF_CONFIG is set by Penstock or the operator"),
        (
            {"environment": {"A": "1"}, "secrets": {"A": {"secret": "s", "key": "k"}}},
            "environment and secrets both set A",
        ),
        ({"resources": {"worker": {"memory": "9 GB"}}}, "'9 GB' is no quantity; write a number and one of m, k, M"),
    ],
)
def test_what_the_cluster_would_refuse_is_refused_here(change: dict[str, Any], words: str) -> None:
    assert words in told({**CLUSTER, **change})


def test_where_it_runs_does_not_change_which_checkpoints_fit() -> None:
    from penstock.components.trainer.executor import _CHANGEABLE

    assert "cluster" in _CHANGEABLE
