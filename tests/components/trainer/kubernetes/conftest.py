"""A training on a stand-in for a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.cluster.topology import Task
from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.kubernetes.launch import job_name, train_on_kubernetes
from penstock.components.trainer.kubernetes.patience import Patience
from penstock.components.trainer.kubernetes.shared import HOME
from penstock.components.trainer.request import SplitFiles, TrainRequest, TrainResult, from_json
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy
from tests.components.trainer.kubernetes.cluster import FakeCluster, Look, Pod, serving

QUICK = Patience(look=0.02, start=120.0, silence=0.5, logs=120.0, beat=0.02)


@dataclass
class Training:
    """One training: its request, the shared folder, and what was reported."""

    folder: Path
    cluster: FakeCluster
    options: dict[str, Any]
    strategy: dict[str, Any] = field(default_factory=lambda: {"name": "multi_worker_mirrored", "workers": 2})
    max_restarts: int = 0
    reports: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def shared(self) -> Path:
        return self.folder / "shared"

    @property
    def request(self) -> TrainRequest:
        here = self.folder / "step"
        config = {
            "model_fn": "m.build",
            "label": "y",
            "strategy": self.strategy,
            "cluster": {"launcher": "kubernetes", **self.options},
            "max_restarts": self.max_restarts,
        }
        return TrainRequest(
            config=TrainerConfig.model_validate(config),
            files=SplitFiles((str(here / "train-0"),), (str(here / "eval-0"),), (str(here / "eval-0"),)),
            saved_model=here / "model" / "Format-Serving",
            keras_file=here / "model" / "Format-Keras" / "model.keras",
            run_folder=here / "model_run",
            schema=here / "schema.pbtxt",
            checkpoints=here / ".checkpoints" / "abc",
        )

    @property
    def job_folder(self) -> Path:
        return self.shared / HOME / job_name(self.request)

    def run(self, patience: Patience = QUICK) -> TrainResult:
        request = self.request
        options, strategy = request.config.cluster, request.config.strategy
        assert isinstance(options, KubernetesLauncher)
        assert isinstance(strategy, MultiWorkerMirroredStrategy | ParameterServerStrategy)
        return train_on_kubernetes(
            request, options, strategy, environ=self.environ, report=self.report, patience=patience
        )

    def report(self, task: Task, kind: str, text: str) -> None:
        self.reports.append(f"{task}: {kind}: {text}")

    def trained(self, cluster: FakeCluster) -> None:
        """Do what the chief does at the end."""
        placed = from_json((self.job_folder / "request.json").read_text(encoding="utf-8"))
        for file in (placed.saved_model / "saved_model.pb", placed.keras_file, placed.run_folder / "history.json"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(file.name, encoding="utf-8")
        assert placed.checkpoints is not None
        placed.checkpoints.mkdir(parents=True)
        (self.job_folder / "result.json").write_text(json.dumps({"steps": 7}), encoding="utf-8")
        for pod in cluster.pods:
            pod.ended(0)
        cluster.condition("Succeeded")


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    yield from serving(FakeCluster())


@pytest.fixture
def training(tmp_path: Path, cluster: FakeCluster) -> Training:
    (tmp_path / "shared").mkdir()
    (tmp_path / "step").mkdir()
    for name in ("train-0", "eval-0", "schema.pbtxt"):
        (tmp_path / "step" / name).write_text(name, encoding="utf-8")
    options = {
        "image": "registry/penstock:1",
        "shared": str(tmp_path / "shared"),
        "volumes": [{"claim": "training", "path": str(tmp_path / "shared")}],
        "kubeconfig": str(cluster.kubeconfig(tmp_path)),
    }
    made = Training(tmp_path, cluster, options)
    cluster.script = [starting(Pod("chief", 0), Pod("worker", 0)), made.trained]
    return made


def starting(*pods: Pod) -> Look:
    """Let the operator make pods."""

    def make(cluster: FakeCluster) -> None:
        cluster.pods = list(pods)

    return make
