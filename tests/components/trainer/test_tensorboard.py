from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.components.trainer.tensorboard import TensorBoardLog, tensorboard_log
from penstock.errors import EnvironmentProblem

Curves = dict[str, list[tuple[int, float]]]


def curves(folder: Path) -> Curves:
    """Read back what TensorBoard would show; it orders files of one second by a number, the tenth before the ninth."""
    from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [
            (event.step, float(make_ndarray(event.tensor_proto)))
            for event in sorted(events.Tensors(tag), key=lambda event: event.step)
        ]
        for tag in events.Tags()[TENSORS]
    }


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_points_of_training_at_most_one_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    board = tensorboard_log(tmp_path, None, chief=True)
    for step in range(1, 7):
        board.steps(step, {"loss": 1 / step, "learning_rate": 0.5}, 1000.0 * step)
        clock.now += 0.5
    board.close()
    assert curves(tmp_path / "train") == {
        "loss": [(1, 1.0), (3, pytest.approx(1 / 3)), (5, pytest.approx(0.2))],
        "learning_rate": [(1, 0.5), (3, 0.5), (5, 0.5)],
        "examples_per_second": [(1, 1000.0), (3, 3000.0), (5, 5000.0)],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


def test_training_and_validation_share_the_names_of_their_curves(tmp_path: Path) -> None:
    board = TensorBoardLog(tmp_path)
    board.epoch(16, {"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25})
    board.epoch(32, {"loss": 0.5, "accuracy": 0.75, "val_loss": math.nan, "val_accuracy": 0.5})
    # Flushed already: a killed training keeps its curves.
    assert curves(tmp_path / "train") == {
        "epoch_loss": [(16, 1.0), (32, 0.5)],
        "epoch_accuracy": [(16, 0.5), (32, 0.75)],
    }
    validation = curves(tmp_path / "validation")
    assert validation["epoch_accuracy"] == [(16, 0.25), (32, 0.5)]
    assert validation["epoch_loss"] == [(16, 2.0), (32, pytest.approx(math.nan, nan_ok=True))]
    board.close()
    board.close()


def test_a_training_that_goes_on_writes_beside(tmp_path: Path) -> None:
    for step in (1, 2):
        board = TensorBoardLog(tmp_path)
        board.epoch(step, {"loss": float(step)})
        board.close()
    assert curves(tmp_path / "train") == {"epoch_loss": [(1, 1.0), (2, 2.0)]}


def test_a_worker_whose_files_do_not_stay_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    board = tensorboard_log(tmp_path, (1, 2), chief=False)
    board.before(0)
    board.steps(2, {"loss": 1.0}, 10.0)
    board.after(2)
    board.epoch(2, {"loss": 1.0, "val_loss": 1.0})
    board.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [None, Path("logs")])
def test_calls_end_where_profiling_begins_and_ends(folder: Path | None) -> None:
    board = TensorBoardLog(folder, (20, 40))
    assert [board.steps_until_border(step) for step in (0, 18, 19, 39, 40, 99)] == [19, 1, 21, 1, None, None]
    assert TensorBoardLog(folder, (1, 1)).steps_until_border(0) == 1
    assert TensorBoardLog(folder).steps_until_border(0) is None


def run(board: TensorBoardLog, start: int, end: int) -> list[int]:
    """Take the steps as the training loop does, up to 15 in a call; returns the steps of each call."""
    import tensorflow as tf

    calls, step = [], start
    while step < end:
        board.before(step)
        steps = min(15, end - step, board.steps_until_border(step) or 15)
        tf.reduce_sum(tf.ones([8, 8])).numpy()
        step += steps
        board.after(step)
        calls.append(steps)
    return calls


def profiles(folder: Path) -> list[str]:
    """The files that TensorBoard's profile plugin would find."""
    return [path.suffixes[-2] + path.suffix for path in folder.glob("plugins/profile/*/*")]


def _noted(name: str, seen: list[str]) -> Callable[..., None]:
    import tensorflow as tf

    original = getattr(tf.profiler.experimental, name)

    def call(*args: str) -> None:
        seen.append(name)
        original(*args)

    return call


def test_the_steps_that_are_asked_for_are_profiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    board = TensorBoardLog(tmp_path, (20, 40))
    seen: list[str] = []
    for name in ("start", "stop"):
        monkeypatch.setattr(tf.profiler.experimental, name, _noted(name, seen))
    assert run(board, 0, 19) == [15, 4]
    assert seen == []
    assert run(board, 19, 60) == [15, 6, 15, 5]
    assert seen == ["start", "stop"]
    board.close()
    assert profiles(tmp_path) == [".xplane.pb"]


def test_a_training_that_ends_while_it_is_profiled(tmp_path: Path) -> None:
    board = TensorBoardLog(tmp_path, (1, 40))
    run(board, 0, 10)
    board.close()
    assert profiles(tmp_path) == [".xplane.pb"]


def test_a_training_that_goes_on_behind_the_steps_to_profile(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = TensorBoardLog(tmp_path, (20, 40))
    run(board, 40, 60)
    board.close()
    assert profiles(tmp_path) == []
    assert caplog.messages == []


def test_steps_to_profile_that_are_never_reached(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = TensorBoardLog(tmp_path, (20, 40))
    run(board, 0, 10)
    with caplog.at_level(logging.WARNING):
        board.close()
        board.close()
    assert caplog.messages == ["no profile: step 20 of tensorboard.profile_steps was not reached"]


def test_another_profiler_is_running(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.profiler.experimental.start(str(tmp_path / "other"))
    try:
        with pytest.raises(EnvironmentProblem, match=r"^the steps cannot be profiled: .*profil") as caught:
            TensorBoardLog(tmp_path, (1, 2)).before(0)
    finally:
        tf.profiler.experimental.stop()
    assert caught.value.received == "tensorboard.profile_steps [1, 2]"
    assert caught.value.hint == (
        "a callback that profiles, e.g. keras.callbacks.TensorBoard, has to leave it to profile_steps"
    )
