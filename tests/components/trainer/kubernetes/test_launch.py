"""A training job from its creation to its model, and what is left when it ends in another way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.kubernetes import heartbeat
from penstock.components.trainer.kubernetes.launch import job_name
from penstock.components.trainer.request import TrainResult, from_json
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy
from penstock.errors import ConfigError, EnvironmentProblem
from tests.components.trainer.kubernetes.cluster import FakeCluster, Pod
from tests.components.trainer.kubernetes.conftest import QUICK, Training, starting


def test_the_model_comes_to_where_the_step_wants_it(training: Training, cluster: FakeCluster) -> None:
    result = training.run()
    request = training.request
    assert result.properties == {"steps": 7}
    assert (request.saved_model / "saved_model.pb").read_text(encoding="utf-8") == "saved_model.pb"
    assert request.keras_file.read_text(encoding="utf-8") == "model.keras"
    assert (request.run_folder / "history.json").is_file()


def test_nothing_is_left(training: Training, cluster: FakeCluster) -> None:
    training.run()
    assert cluster.jobs == {}
    assert not training.job_folder.exists()
    assert list((training.shared / ".penstock" / "checkpoints").iterdir()) == []


def test_the_pods_get_paths_that_they_see(training: Training, cluster: FakeCluster) -> None:
    seen = []

    def look(cluster: FakeCluster) -> None:
        seen.append(from_json((training.job_folder / "request.json").read_text(encoding="utf-8")))
        training.trained(cluster)

    cluster.script = [look]
    training.run()
    (placed,) = seen
    files = [*placed.files.train, *placed.files.evaluation, str(placed.schema), str(placed.saved_model)]
    assert all(file.startswith(f"{training.shared}/") for file in [*files, str(placed.checkpoints)])
    assert placed.files.evaluation == placed.files.raw_evaluation
    assert placed.log is None


def test_what_lies_on_a_volume_is_not_copied(training: Training, cluster: FakeCluster) -> None:
    training.options["volumes"].append({"claim": "data", "path": str(training.folder / "step"), "read_only": True})
    seen = []

    def look(cluster: FakeCluster) -> None:
        seen.append(from_json((training.job_folder / "request.json").read_text(encoding="utf-8")))
        cluster.condition("Succeeded")
        (training.job_folder / "result.json").write_text("{}", encoding="utf-8")

    cluster.script = [look]
    training.run()
    assert seen[0].files == training.request.files
    assert seen[0].saved_model == training.request.saved_model


def test_logs_and_reports_come_through(
    training: Training, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    chief = Pod("chief", 0, lines=["hello", "@penstock note epoch 1 done", "@penstock status step 3", "bye"])
    cluster.script = [starting(chief, Pod("worker", 0, lines=["here too"])), training.trained]
    training.run()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("chief 0 |")] == ["chief 0 | hello", "chief 0 | bye"]
    assert "worker 0 | here too" in lines
    assert training.reports == ["chief 0: note: epoch 1 done", "chief 0: status: step 3"]


def test_a_log_that_breaks_off_goes_on_where_it_was(
    training: Training, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    chief = Pod("chief", 0, lines=["one", "two"])

    def more(cluster: FakeCluster) -> None:
        chief.lines.append("three")

    cluster.script = [starting(chief), *[lambda _: None] * 10, more, training.trained]
    training.run()
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("chief 0")]
    assert shown == ["chief 0 | one", "chief 0 | two", "chief 0 | three"]


def test_a_log_that_the_cluster_does_not_show(training: Training, cluster: FakeCluster) -> None:
    cluster.script = [starting(Pod("chief", 0, lines=["hidden"])), *[lambda _: None] * 5, training.trained]
    cluster.broken["GET /api/v1/namespaces/team-a/pods/"] = (403, "no")
    assert training.run().properties == {"steps": 7}
    assert training.reports == ["chief 0: note: the cluster does not show its log (403 Forbidden)"]


def test_the_order_of_calls(training: Training, cluster: FakeCluster) -> None:
    training.run()
    assert [call.split()[0] for call in cluster.calls if "tfjobs" in call] == ["GET", "POST", "GET", "GET", "DELETE"]
    assert set(cluster.tokens) == {"Bearer secret-token"}
    assert all("/namespaces/team-a/" in call for call in cluster.calls)


def test_what_an_attempt_left_is_removed_first(training: Training, cluster: FakeCluster) -> None:
    name = job_name(training.request)
    cluster.jobs[name] = {"metadata": {"name": name}}
    cluster.script = [lambda _: None, *cluster.script]
    training.run()
    assert [call.split()[0] for call in cluster.calls if "tfjobs" in call][:4] == ["GET", "DELETE", "GET", "POST"]


def test_an_attempt_with_other_outputs_is_the_same_training(training: Training) -> None:
    first = training.request
    elsewhere = replace(
        first, checkpoints=Path("/minio/run-2/.checkpoints/abc"), saved_model=Path("/minio/run-2/model")
    )
    assert job_name(elsewhere) == job_name(first)
    assert job_name(replace(first, checkpoints=Path("/minio/run-2/.checkpoints/def"))) != job_name(first)


def test_a_training_that_somebody_runs_is_left_alone(training: Training, cluster: FakeCluster) -> None:
    name = job_name(training.request)
    cluster.jobs[name] = {"metadata": {"name": name}}
    training.job_folder.mkdir(parents=True)
    with (
        heartbeat.beating(training.job_folder, 0.01),
        pytest.raises(EnvironmentProblem, match="another step is running the same training"),
    ):
        training.run(replace(QUICK, beat=60.0))
    assert name in cluster.jobs


def test_a_result_that_is_not_there(training: Training, cluster: FakeCluster) -> None:
    cluster.script = [lambda cluster: cluster.condition("Succeeded")]
    with pytest.raises(EnvironmentProblem, match="what it left does not come to this step") as caught:
        training.run(replace(QUICK, files=0.05))
    assert caught.value.where == str(training.job_folder / "result.json")


def test_checkpoints_stay_when_it_fails(training: Training, cluster: FakeCluster) -> None:
    checkpoint = training.shared / ".penstock" / "checkpoints" / training.job_folder.name / "ckpt-1"

    def fail(cluster: FakeCluster) -> None:
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        cluster.pods = [Pod("chief", 0).ended(1)]
        cluster.condition("Failed", "1 Chief replica(s) failed")

    cluster.script = [fail]
    with pytest.raises(EnvironmentProblem, match="chief 0 ended with exit code 1"):
        training.run()
    assert checkpoint.exists()
    assert cluster.jobs == {}
    assert not training.job_folder.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit(143)])
def test_an_interrupted_step_removes_its_job(training: Training, cluster: FakeCluster, error: BaseException) -> None:
    def interrupt(*_: object) -> None:
        raise error

    training.report = interrupt  # type: ignore[method-assign,assignment]
    cluster.script = [starting(Pod("chief", 0).waiting("ErrImagePull", "not now"))]
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        training.run()
    assert cluster.jobs == {}
    assert not training.job_folder.exists()


STEP = """
    import sys
    from pathlib import Path
    from penstock.components.trainer.kubernetes.launch import train_on_kubernetes
    from penstock.components.trainer.request import from_json

    request = from_json(Path(sys.argv[1]).read_text())
    train_on_kubernetes(request, request.config.cluster, request.config.strategy, environ={})
"""


def test_a_terminated_pod_of_a_step_removes_its_job(training: Training, cluster: FakeCluster) -> None:
    from penstock.components.trainer.request import to_json

    cluster.script = [starting(Pod("chief", 0))]
    file = training.folder / "asked.json"
    file.write_text(to_json(training.request), encoding="utf-8")
    step = subprocess.Popen([sys.executable, "-c", textwrap.dedent(STEP), str(file)])
    deadline = time.monotonic() + 240
    while not cluster.looks and step.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cluster.jobs
    step.send_signal(signal.SIGTERM)
    assert step.wait(240) == 128 + signal.SIGTERM
    assert cluster.jobs == {}


def test_the_heart_beats_while_the_step_waits(training: Training, cluster: FakeCluster) -> None:
    counts: set[str | None] = set()

    def look(cluster: FakeCluster) -> None:
        counts.add(heartbeat.read(training.job_folder))
        if len(counts) == 3:
            training.trained(cluster)

    cluster.script = [starting(Pod("chief", 0)), look]
    training.run()
    assert None not in counts


def test_one_worker_is_a_job_of_a_chief(training: Training, cluster: FakeCluster) -> None:
    training.strategy = {"name": "multi_worker_mirrored", "workers": 1}
    training.run()
    assert list(cluster.created[0]["spec"]["tfReplicaSpecs"]) == ["Chief"]


def test_a_shared_folder_that_is_not_mounted(training: Training, cluster: FakeCluster) -> None:
    training.shared.rmdir()
    with pytest.raises(EnvironmentProblem, match="the folder that the step and the pods share is not there") as caught:
        training.run()
    assert "kubeflow.volumes" in str(caught.value)
    assert cluster.created == []


def test_no_image_and_no_pod(training: Training) -> None:
    del training.options["image"]
    with pytest.raises(ConfigError, match="the training job needs an image, and this step runs in none"):
        training.run()


def test_a_silent_api_is_borne_for_a_while(training: Training, cluster: FakeCluster) -> None:
    def go_silent(cluster: FakeCluster) -> None:
        cluster.silent = 5

    cluster.script = [starting(Pod("chief", 0)), go_silent, training.trained]
    assert training.run(replace(QUICK, silence=120)).properties == {"steps": 7}
    assert cluster.silent == 0
    assert any("the job goes on, and this step waits" in report for report in training.reports)


def test_an_api_that_stays_away(training: Training, cluster: FakeCluster) -> None:
    def go_silent(cluster: FakeCluster) -> None:
        cluster.silent = sys.maxsize

    cluster.script = [starting(Pod("chief", 0)), go_silent]
    with pytest.raises(EnvironmentProblem, match=r"the Kubernetes API has not answered for \d+ s while") as caught:
        training.run(replace(QUICK, logs=0.1))
    assert "kubectl get tfjob penstock-" in str(caught.value)
    assert any("is still there" in report and "kubectl delete tfjob" in report for report in training.reports)


def test_the_request_is_plain_data(training: Training) -> None:
    from penstock.components.trainer.request import to_json

    assert json.loads(to_json(training.request))["config"]["cluster"]["launcher"] == "kubernetes"


def test_the_trainer_starts_a_job_where_the_config_says_so(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.components.trainer import train as module

    for name in ("TF_CONFIG", "CLUSTER_SPEC"):
        monkeypatch.delenv(name, raising=False)
    asked: list[tuple[str, str]] = []

    def start(_: object, options: KubernetesLauncher, strategy: MultiWorkerMirroredStrategy) -> TrainResult:
        asked.append((options.launcher, strategy.name))
        return TrainResult({"steps": 1})

    monkeypatch.setattr(module, "train_on_kubernetes", start)
    assert module.train(training.request).properties == {"steps": 1}
    assert asked == [("kubernetes", "multi_worker_mirrored")]
