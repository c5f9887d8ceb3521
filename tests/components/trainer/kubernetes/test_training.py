"""Trainings in pods: the job and its programs are real, the cluster and its operator are stand-ins on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.kubernetes.launch import train_on_kubernetes
from penstock.components.trainer.kubernetes.patience import Patience
from penstock.components.trainer.request import TrainRequest, TrainResult
from penstock.errors import UserCodeError
from tests.components.trainer.conftest import BUILD
from tests.components.trainer.kubernetes.cluster import FakeCluster
from tests.components.trainer.kubernetes.operator import Operator, inherited

pytestmark = pytest.mark.e2e
DYING_ONCE = (
    BUILD
    + """

def callbacks(context):
    import json, os, signal
    from pathlib import Path

    class Die(context.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            task = json.loads(os.environ["TF_CONFIG"])["task"]
            if task["type"] == "worker" and epoch == 1 and not Path(MARK).exists():
                Path(MARK).touch()
                os.kill(os.getpid(), signal.SIGKILL)

    return [Die()]
"""
)
BROKEN = "def build(context):\n    raise LookupError(f'no model for {context.num_workers} workers')\n"


class Pods:
    """A cluster whose pods are processes here, and what a training on it leaves."""

    def __init__(self, folder: Path, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = cluster
        self.folder = folder
        self.reports: list[str] = []
        (folder / "shared").mkdir()
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        self.operator = Operator(inherited(str(folder / "project")))
        cluster.script = [self.operator.look]

    def options(self) -> dict[str, Any]:
        return {
            "launcher": "kubernetes",
            "image": "i",
            "shared": str(self.folder / "shared"),
            "volumes": [{"claim": "training", "path": str(self.folder / "shared")}],
            "kubeconfig": str(self.cluster.kubeconfig(self.folder)),
        }

    def train(self, request: TrainRequest) -> TrainResult:
        config = request.config
        return train_on_kubernetes(
            replace(request, checkpoints=self.folder / "checkpoints" / "one"),
            config.cluster,  # type: ignore[arg-type]
            config.strategy,  # type: ignore[arg-type]
            environ={},
            report=lambda task, kind, text: self.reports.append(f"{task}: {kind}: {text}"),
            patience=Patience(look=0.1, logs=60),
        )


@pytest.fixture
def pods(tmp_path: Path, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pods]:
    made = Pods(tmp_path, cluster, monkeypatch)
    yield made
    made.operator.end()


def mirrored(pods: Pods, **further: Any) -> dict[str, Any]:
    strategy = {"name": "multi_worker_mirrored", "workers": 2, "communication": "ring"}
    return {"strategy": strategy, "cluster": pods.options(), "epochs": 3, **further}


def test_mirrored_workers_of_which_one_is_killed(
    pods: Pods, request_for: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    source = DYING_ONCE.replace("MARK", repr(str(pods.folder / "died")))
    request = request_for(source, with_=mirrored(pods, max_restarts=3, checkpoint={"every_steps": 4}))
    callbacks = request.config.model_fn.replace(".build", ".callbacks")
    request = replace(request, config=request.config.model_copy(update={"callbacks_fn": callbacks}))
    result = pods.train(request)
    assert (result.properties["workers"], result.properties["strategy"]) == (2, "multi_worker_mirrored")
    assert (request.saved_model / "saved_model.pb").is_file()
    assert json.loads((request.run_folder / "history.json").read_text(encoding="utf-8"))
    assert (pods.folder / "died").exists()
    assert pods.operator.started[:2] == ["chief 0", "worker 0"]
    assert pods.operator.started.count("worker 0") >= 2
    assert any(report.startswith("chief 0: note: ") for report in pods.reports)
    assert any("going on after step" in report for report in pods.reports), pods.reports
    assert "chief 0 | " in capsys.readouterr().out
    assert pods.cluster.jobs == {}


def test_parameter_servers(pods: Pods, request_for: Callable[..., Any]) -> None:
    strategy = {"name": "parameter_server", "workers": 1, "ps": 1}
    result = pods.train(request_for(with_={"strategy": strategy, "cluster": pods.options(), "epochs": 2}))
    assert result.properties["strategy"] == "parameter_server"
    assert sorted(pods.operator.started) == ["chief 0", "ps 0", "worker 0"]


def test_users_code_that_fails_is_not_started_again(pods: Pods, request_for: Callable[..., Any]) -> None:
    with pytest.raises(UserCodeError, match="LookupError: no model for 2 workers") as caught:
        pods.train(request_for(BROKEN, with_=mirrored(pods, max_restarts=3)))
    assert caught.value.frames[-1].function == "build"
    assert sorted(pods.operator.started) == ["chief 0", "worker 0"]
    assert pods.cluster.jobs == {}
