"""Nothing lost: a training that was ended at any moment goes on, and ends where it would have ended undisturbed."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.request import TrainRequest
from penstock.errors import ArtifactError, EnvironmentProblem, UserCodeError
from tests.components.trainer.cluster.tasks import wait_until
from tests.components.trainer.data import ToyData
from tests.components.trainer.killing import (
    EVERY_STEPS,
    STEPS,
    Attempt,
    course,
    courses,
    differences,
    half_written,
    history,
    most_redone,
    steps_saved,
    toy_request,
)

Make = Callable[..., Any]

DETERMINISTIC = {"deterministic": True, "logical_devices": {"cpu": 2}}
REPLICAS = {"batch_size": 8, "input": {"shuffle_buffer": 60, "autoshard": "data"}}
"""Two replicas with half of the batch each."""


def train(request: TrainRequest) -> None:
    from penstock.components.trainer.train import train

    train(request)


WITH_MORE_STATE = {
    "input": {"cache": "memory"},
    "early_stopping": {"patience": 1, "min_delta": 0.03},
    "precision": "mixed_float16",
    "steps_per_execution": 7,
}
"""Early stopping counts epochs, and half precision scales its loss; both change on the way."""


def test_a_callback_fails(tmp_path: Path, toy: ToyData) -> None:
    """One replica; a training without this state is ended by a callback below, with two."""
    straight = toy_request(tmp_path / "straight", toy, WITH_MORE_STATE)
    train(straight)
    broken = toy_request(tmp_path / "broken", toy, {**WITH_MORE_STATE, "hparams": {"fail_at": 11}})
    with pytest.raises(UserCodeError, match="a test made this callback fail"):
        train(broken)
    last = steps_saved(broken)[-1]
    train(broken)
    assert differences(straight, broken) == {}
    assert history(straight) == history(broken)
    assert {**course(straight), "resumed_from_step": last} == course(broken)
    assert course(straight)["stopped_early"]


class TestEndedByTheUsersCode:
    SOURCE = """
    from tests.components.trainer.killing import build
    def callbacks(context):
        keras, hparams = context.keras, context.hparams
        class Meddler(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                step = int(self.model.optimizer.iterations.numpy())
                if step == hparams.get("stop_after"):
                    self.model.stop_training = True
                if step == hparams.get("spoil_after"):
                    self.model.optimizer.learning_rate.assign(float("inf"))
            def on_train_end(self, logs=None):
                if hparams.get("fail_at_the_end"):
                    raise RuntimeError("a test made this callback fail")
        return Meddler()
    """

    @pytest.fixture
    def meddled(self, tmp_path: Path, toy: ToyData, user_module: Callable[[str], str]) -> Make:
        callbacks_fn = f"{user_module(self.SOURCE)}.callbacks"

        def make(name: str, **hparams: object) -> TrainRequest:
            return toy_request(tmp_path / name, toy, {"callbacks_fn": callbacks_fn, "hparams": hparams})

        return make

    def test_a_training_that_was_stopped_stays_so(self, meddled: Make) -> None:
        straight = meddled("straight", stop_after=18)
        train(straight)
        broken = meddled("broken", stop_after=18, fail_at_the_end=True)
        with pytest.raises(UserCodeError, match="a test made this callback fail"):
            train(broken)
        assert steps_saved(broken) == [5, 10, 15]
        again = replace(broken, config=straight.config)
        train(again)
        assert differences(straight, again) == {}
        assert history(straight) == history(again)

    @pytest.mark.parametrize(
        ("spoil_after", "what"),
        [
            (6, "the loss is NaN or infinite after step 8 (epoch 1, batch 8 of 16)"),
            (9, "a weight is NaN or infinite after step 10 (epoch 1, batch 10 of 16)"),
        ],
    )
    def test_nothing_that_is_not_finite_is_kept(self, meddled: Make, spoil_after: int, what: str) -> None:
        request = meddled("spoilt", spoil_after=spoil_after)
        with pytest.raises(ArtifactError) as raised:
            train(request)
        assert raised.value.what == f"{what}; nothing is exported; the checkpoint after step 5 is kept"
        assert steps_saved(request) == [5]
        assert not request.saved_model.parent.exists()

    def test_the_last_step_spoils_the_weights(self, meddled: Make) -> None:
        request = meddled("spoilt", spoil_after=STEPS - 1)
        with pytest.raises(ArtifactError, match=rf"a weight is NaN or infinite after step {STEPS} "):
            train(request)
        assert not request.saved_model.parent.exists()


def test_a_model_that_an_earlier_attempt_published_is_replaced(tmp_path: Path, toy: ToyData) -> None:
    request = toy_request(tmp_path / "twice", toy, {"epochs": 1})
    train(request)
    (request.saved_model / "mark").touch()
    train(request)
    assert not (request.saved_model / "mark").exists()
    assert half_written(request) == []
    assert sorted(path.name for path in request.saved_model.parent.iterdir()) == ["Format-Keras", "Format-Serving"]


def test_workers_that_do_not_see_the_same_checkpoints(tmp_path: Path) -> None:
    from penstock.components.trainer.session import _require_same_start

    _require_same_start([[40.0], [40.0]], tmp_path)
    with pytest.raises(EnvironmentProblem) as raised:
        _require_same_start([[40.0], [0.0]], tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: the workers do not go on from the same checkpoint\n"
        "  received: worker 0 after step 40; worker 1 after step 0\n"
        "  expected: the same checkpoints in the sight of all workers\n"
        "  next: put the pipeline's root on storage that all workers share"
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy: ToyData) -> dict[str, TrainRequest]:
    """Trainings by name: one replica, two replicas, and two whose first attempt a callback ended."""
    folder = tmp_path_factory.mktemp("undisturbed")
    two = {**REPLICAS, "strategy": "mirrored", "runtime": DETERMINISTIC}
    made = {
        "one": toy_request(folder / "one", toy, {"runtime": DETERMINISTIC}),
        "two": toy_request(folder / "two", toy, two),
        "broken": toy_request(folder / "broken", toy, {**two, "hparams": {"fail_at": 20}}),
    }
    attempt = Attempt(made["one"], made["two"], made["broken"], made["broken"])
    assert attempt.wait() == 1, attempt.output
    return made


class TestKilled:
    def test_two_replicas_ended_by_a_callback(self, undisturbed: dict[str, TrainRequest]) -> None:
        straight, broken = undisturbed["two"], undisturbed["broken"]
        assert differences(straight, broken) == {}
        assert history(straight) == history(broken)
        assert {**course(straight), "resumed_from_step": 15} == course(broken)
        assert not course(straight)["stopped_early"]

    def test_one_process(self, undisturbed: dict[str, TrainRequest], tmp_path: Path, toy: ToyData) -> None:
        with_ = {"runtime": DETERMINISTIC, "hparams": {"nap": 0.01}}
        request = toy_request(tmp_path / "killed", toy, with_)
        moment = random.randrange(1, STEPS)
        moments: list[Callable[[], object]] = [
            lambda: courses(request) and courses(request)[-1].steps >= moment,
            request.saved_model.with_name(f".partial-{request.saved_model.name}").exists,
        ]
        for reached in moments:
            attempt = Attempt(request)
            attempt.wait_until(reached)
            attempt.kill()
            assert attempt.wait() == -signal.SIGKILL
            assert half_written(request) == []
        attempt = Attempt(request)
        assert attempt.wait() == 0, attempt.output
        assert differences(undisturbed["one"], request) == {}, f"killed at step {moment}"
        assert history(undisturbed["one"]) == history(request)
        assert most_redone(request) <= EVERY_STEPS
        assert half_written(request) == []

    def test_the_step_then_a_mirrored_worker(
        self, undisturbed: dict[str, TrainRequest], tmp_path: Path, toy: ToyData
    ) -> None:
        strategy = {"name": "multi_worker_mirrored", "workers": 2, "communication": "ring"}
        with_ = {**REPLICAS, "strategy": strategy, "runtime": {"deterministic": True}, "max_restarts": 1}
        request = toy_request(tmp_path / "killed", toy, {**with_, "hparams": {"nap": 0.02}})
        attempt = Attempt(request)
        attempt.wait_until(lambda: len(attempt.tasks()) == 2)
        attempt.kill()
        assert attempt.wait() == -signal.SIGKILL
        wait_until(lambda: attempt.all() == [])
        attempt = Attempt(request)
        attempt.wait_until(lambda: 10 in steps_saved(request))
        victim = random.choice(("worker-0", "worker-1"))  # The first is the chief.
        attempt.kill(victim)
        assert attempt.wait() == 0, attempt.output
        assert differences(undisturbed["two"], request) == {}, victim
        assert history(undisturbed["two"]) == history(request)
        first, second = courses(request)
        assert first.start + first.steps - EVERY_STEPS <= second.start
        assert course(request)["resumed_from_step"] == second.start
        assert half_written(request) == []
        assert attempt.all() == []

    def test_tasks_of_parameter_servers(self, tmp_path: Path, toy: ToyData) -> None:
        strategy = {"name": "parameter_server", "workers": 2, "ps": 1}
        with_ = {"strategy": strategy, "max_restarts": 2, "hparams": {"nap": 0.02}}
        request = toy_request(tmp_path / "killed", toy, with_)
        attempt = Attempt(request)
        attempt.wait_until(lambda: 10 in steps_saved(request))
        attempt.kill("worker-1")
        # Without a worker the others go on.
        attempt.wait_until(lambda: max(steps_saved(request)) >= 25)
        assert [found.start for found in courses(request)] == [0]
        attempt.kill("ps-0")
        assert attempt.wait() == 0, attempt.output
        # What a server held is gone.
        _, again = courses(request)
        found = course(request)
        resumed = found["resumed_from_step"]
        assert resumed >= 25
        # The step that the killed worker was at is given to another, and may be in the weights twice.
        assert again.start in (resumed, resumed + 1)
        assert (found["steps"], resumed + again.steps) == (STEPS, STEPS)
        assert found["final_metrics"]["val_accuracy"] > 0.9
        assert attempt.all() == []
