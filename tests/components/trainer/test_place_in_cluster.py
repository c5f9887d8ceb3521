"""Trainings in clusters that somebody else set up and described in the environment."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.cluster.ports import free_addresses
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.reporting import reporting_to
from tests.components.trainer import placed
from tests.components.trainer.agreement import GLOBAL_BATCH, TRAINING_ROWS, Bench

Make = Callable[..., Any]
WORKERS = {"strategy": {"name": "multi_worker_mirrored", "communication": "ring"}, "batch_size": GLOBAL_BATCH // 2}
STEPS = 10


def tf_config(addresses: tuple[str, ...], number: int) -> dict[str, str]:
    description = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
    return {"TF_CONFIG": json.dumps(description)}


def chief_by_tf_config(chief: str, worker: str) -> dict[str, str]:
    description = {"cluster": {"chief": [chief], "worker": [worker]}, "task": {"type": "chief", "index": 0}}
    return {"TF_CONFIG": json.dumps(description)}


def worker_by_vertex(chief: str, worker: str) -> dict[str, str]:
    """What Vertex AI sets: the first pool is the chief, the second all other workers."""
    cluster = {"workerpool0": [chief], "workerpool1": [worker]}
    task = {"type": "workerpool1", "index": 0, "trial": ""}
    return {"CLUSTER_SPEC": json.dumps({"cluster": cluster, "environment": "cloud", "task": task})}


class Crew:
    """Two tasks, each a process that is given its place in the environment, and what they left.

    One variable describes the place to the chief and the other to the worker: the two must mean the same cluster.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bench = Bench(folder)
        config = {**WORKERS, "checkpoint": {"every_steps": 4, "keep": 2}}
        self.request = bench.request("training", config, checkpoints=folder / "training" / "checkpoints")
        bench.write(self.request, "training")
        addresses = free_addresses(2)
        places = [chief_by_tf_config(*addresses), worker_by_vertex(*addresses)]
        with ExitStack() as stack:
            processes = [stack.enter_context(self._started(place, number)) for number, place in enumerate(places)]
            for process in processes:
                stack.callback(process.kill)
            errors = [process.communicate(timeout=240)[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
        self.results = [json.loads((folder / f"result-{number}.json").read_text()) for number in (0, 1)]
        self.outcome = bench.outcome("training")

    def _started(self, place: dict[str, str], number: int) -> subprocess.Popen[str]:
        (self.folder / f"temporary-{number}").mkdir()
        inherited = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                placed.__name__,
                self.folder / "training.json",
                self.folder / f"result-{number}.json",
            ],
            env={**inherited, **place, "TMPDIR": str(self.folder / f"temporary-{number}")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Crew:
    return Crew(tmp_path_factory.mktemp("crew"))


def test_all_tasks_train_together(crew: Crew) -> None:
    report = crew.outcome.report
    assert (report["workers"], report["replicas"], report["course"]["steps"]) == (2, 2, STEPS)
    assert crew.outcome.history["rows"] == [TRAINING_ROWS] * 2


def test_only_the_chief_says_what_is_recorded(crew: Crew) -> None:
    chief, other = crew.results
    assert (chief["strategy"], chief["workers"], chief["steps"]) == ("multi_worker_mirrored", 2, STEPS)
    assert other == {}


def test_only_the_chief_leaves_files(crew: Crew) -> None:
    training = crew.folder / "training"
    left = sorted(str(path.relative_to(training)) for path in training.rglob("*") if path.is_file())
    events = [name for name in left if "events.out.tfevents" in name]
    assert [name.partition("/events")[0] for name in events] == ["run/train", "run/validation"]
    assert [name for name in left if name not in events] == [
        "checkpoints/step-00000004/position.json",
        "checkpoints/step-00000004/state.data-00000-of-00001",
        "checkpoints/step-00000004/state.index",
        "checkpoints/step-00000008/position.json",
        "checkpoints/step-00000008/state.data-00000-of-00001",
        "checkpoints/step-00000008/state.index",
        "model.keras",
        "run/history.json",
        "run/training_report.json",
        "saved_model/fingerprint.pb",
        "saved_model/saved_model.pb",
        "saved_model/variables/variables.data-00000-of-00001",
        "saved_model/variables/variables.index",
    ]


def test_temporary_folders_are_removed(crew: Crew) -> None:
    assert [list((crew.folder / f"temporary-{number}").iterdir()) for number in (0, 1)] == [[], []]


@pytest.fixture
def unread(request_for: Make, tmp_path: Path) -> Callable[..., Any]:
    """Make a request whose files are not there: to read them would be another error."""
    from penstock.components.trainer.request import SplitFiles

    gone = (str(tmp_path / "gone.gz"),)
    return lambda **config: request_for(with_={**WORKERS, **config}, files=SplitFiles(gone, gone, gone))


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as occupied:
        occupied.bind(("", 0))
        occupied.listen()
        yield occupied.getsockname()[1]


def refused(request: Any, monkeypatch: pytest.MonkeyPatch, description: str, *, variable: str = "TF_CONFIG") -> Any:
    from penstock.components.trainer.train import train

    monkeypatch.setenv(variable, description)
    with pytest.raises((ConfigError, EnvironmentProblem)) as caught:
        train(request)
    return caught.value


@pytest.mark.parametrize("variable", ["TF_CONFIG", "CLUSTER_SPEC"])
def test_a_description_that_is_no_json(unread: Make, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert str(refused(unread(), monkeypatch, "{workers: 2}", variable=variable)) == (
        f"{variable} is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)\n"
        "  received: '{workers: 2}'\n"
        "  expected: a JSON object\n"
        f"  next: correct {variable}, or unset it: Penstock then starts the tasks on this machine"
    )


def test_a_description_that_lacks_this_task(unread: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    description = tf_config(("127.0.0.1:15000", "127.0.0.1:15001"), 2)["TF_CONFIG"]
    assert str(refused(unread(), monkeypatch, description)) == (
        "TF_CONFIG lacks this task\n"
        "  received: type worker, index 2\n"
        "  expected: one of worker 0, worker 1\n"
        "  next: correct TF_CONFIG, or unset it: Penstock then starts the tasks on this machine"
    )


def test_a_port_that_is_in_use(unread: Make, monkeypatch: pytest.MonkeyPatch, listener: int) -> None:
    (other,) = free_addresses(1)
    error = refused(unread(), monkeypatch, tf_config((f"127.0.0.1:{listener}", other), 0)["TF_CONFIG"])
    assert (error.what, error.where) == (f"port {listener} is already in use", "worker 0")
    assert error.received.startswith(f"address 127.0.0.1:{listener}; ")
    assert error.received.endswith(f" (process {os.getpid()}) listens on the port")


def test_a_cluster_that_the_strategy_cannot_use(unread: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    description = tf_config(free_addresses(2), 0)["TF_CONFIG"]
    error = refused(unread(strategy="parameter_server"), monkeypatch, description)
    assert error.what == "strategy 'parameter_server' needs a chief and a ps, and the cluster has none"


@pytest.mark.parametrize("listed", [{}, {"evaluator": free_addresses(1)}])
def test_an_evaluator_has_nothing_to_do(
    unread: Make, monkeypatch: pytest.MonkeyPatch, listed: dict[str, tuple[str, ...]]
) -> None:
    from penstock.components.trainer.train import train

    notes: list[str] = []

    class Notes:
        def status(self, text: str) -> None:
            raise AssertionError(text)

        def note(self, text: str) -> None:
            notes.append(text)

    cluster = {"worker": free_addresses(2), **listed}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "evaluator", "index": 0}}))
    with reporting_to(Notes()):
        assert train(unread()).properties == {}
    assert notes == ["nothing to do for an evaluator: the training evaluates by itself"]


def test_the_only_task_trains_alone(request_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.components.trainer.train import train

    monkeypatch.setenv("TF_CONFIG", tf_config(free_addresses(1), 0)["TF_CONFIG"])
    properties = train(request_for(with_={"strategy": {"name": "multi_worker_mirrored", "workers": 1}})).properties
    assert (properties["workers"], properties["replicas"]) == (1, 1)
