from __future__ import annotations

import errno
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.options import CheckpointOptions
from penstock.errors import ArtifactError, EnvironmentProblem


def make(folder: Path, values: list[Any], *, keep: int = 3, chief: bool = True) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    from penstock.components.trainer.checkpoint import Checkpoints

    variables = [tf.Variable(value, name=f"v{number}") for number, value in enumerate(values)]
    options = CheckpointOptions(keep=keep)
    checkpoints = Checkpoints(folder, variables=variables, weights=variables[:1], options=options, chief=chief)
    return checkpoints, variables


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def save(checkpoints: Any, step: int, **fields: Any) -> None:
    from penstock.components.trainer.checkpoint import Position

    given = {"epoch": 1, "step_in_epoch": 2, "seconds": 3.5, "history": {"loss": [0.5]}, **fields}
    checkpoints.save(Position(step=step, **given))


def test_goes_on_from_the_newest(tmp_path: Path) -> None:
    from penstock.components.trainer.checkpoint import Position

    checkpoints, variables = make(tmp_path / "c", [[1.0, 2.0], 3])
    for step in (10, 20):
        variables[1].assign(step)
        save(checkpoints, step)
    again, restored = make(tmp_path / "c", [[0.0, 0.0], 0])
    assert again.restore() == Position(20, 1, 2, 3.5, {"loss": [0.5]}, {})
    assert restored[0].numpy().tolist() == [1.0, 2.0]
    assert restored[1].numpy() == 20


def test_keeps_the_newest_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    checkpoints, _ = make(tmp_path / "c", [1.0], keep=2)
    for step in (10, 20, 30):
        save(checkpoints, step)
    assert names(tmp_path / "c") == ["step-00000020", "step-00000030"]


def test_the_newest_has_most_steps_however_many_digits(tmp_path: Path) -> None:
    checkpoints, _ = make(tmp_path / "c", [1.0], keep=1)
    for step in (99_999_999, 100_000_000):
        save(checkpoints, step)
    assert names(tmp_path / "c") == ["step-100000000"]


def test_a_folder_without_checkpoints_and_one_left_half_written(tmp_path: Path) -> None:
    checkpoints, _ = make(tmp_path / "c", [1.0])
    assert checkpoints.restore() is None
    (tmp_path / "c" / ".partial-step-00000010").mkdir(parents=True)
    assert checkpoints.restore() is None
    save(checkpoints, 10)
    assert names(tmp_path / "c") == ["step-00000010"]


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    save(make(tmp_path / "c", [1.0])[0], 10)
    (tmp_path / "c" / ".partial-step-00000020").mkdir()
    assert make(tmp_path / "c", [1.0])[0].restore().step == 10
    assert names(tmp_path / "c") == ["step-00000010"]


def test_a_metric_may_be_nan(tmp_path: Path) -> None:
    checkpoints, _ = make(tmp_path / "c", [1.0])
    save(checkpoints, 10, history={"f1": [math.nan, math.inf, 0.1]})
    nan, infinity, number = checkpoints.restore().history["f1"]
    assert (math.isnan(nan), infinity, number) == (True, math.inf, 0.1)


@pytest.mark.parametrize("damaged", ["state.index", "state.data-00000-of-00001", "position.json"])
def test_a_damaged_checkpoint_is_left_out(tmp_path: Path, damaged: str, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints, variables = make(tmp_path / "c", [1.0])
    for step in (10, 20):
        variables[0].assign(step)
        save(checkpoints, step)
    file = tmp_path / "c" / "step-00000020" / damaged
    file.write_bytes(b"\0" * file.stat().st_size)
    with caplog.at_level(logging.WARNING):
        position = checkpoints.restore()
    assert (position.step, variables[0].numpy()) == (10, 10.0)
    assert f"checkpoint {tmp_path}/c/step-00000020 is damaged and left out" in caplog.text


def test_nothing_is_read_from_the_only_checkpoint_if_it_is_damaged(tmp_path: Path) -> None:
    checkpoints, variables = make(tmp_path / "c", [[1.0, 2.0], [3.0, 4.0]])
    save(checkpoints, 10)
    file = tmp_path / "c" / "step-00000010" / "state.data-00000-of-00001"
    data = bytearray(file.read_bytes())
    data[12] ^= 0xFF
    file.write_bytes(data)
    for variable in variables:
        variable.assign([9.0, 9.0])
    assert checkpoints.restore() is None
    assert [variable.numpy().tolist() for variable in variables] == [[9.0, 9.0], [9.0, 9.0]]


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    from penstock import durable

    def full(folder: Path) -> None:
        raise error

    monkeypatch.setattr(durable, "sync_tree", full)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    message = f"{tmp_path}/c/.partial-step-00000020/state; No space left on device [Op:SaveV2]"
    checkpoints, variables = make(tmp_path / "c", [1.0])
    save(checkpoints, 10)
    variables[0].assign(2.0)
    for error, reason in [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (tf.errors.ResourceExhaustedError(None, None, message), message.removesuffix(" [Op:SaveV2]")),
    ]:
        fill_the_disk(monkeypatch, error)
        with pytest.raises(EnvironmentProblem) as caught:
            save(checkpoints, 20)
        assert str(caught.value) == (
            f"{tmp_path}/c/step-00000020: a checkpoint cannot be written: {reason}\n"
            "  next: free space, or make the folder writable; the next run goes on from the last checkpoint there"
        )
    assert names(tmp_path / "c") == ["step-00000010"]
    assert (checkpoints.restore().step, variables[0].numpy()) == (10, 1.0)


def test_a_lost_peer_is_no_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    fill_the_disk(monkeypatch, tf.errors.UnavailableError(None, None, "Connection reset by peer"))
    with pytest.raises(tf.errors.UnavailableError, match="Connection reset by peer"):
        save(make(tmp_path / "c", [1.0])[0], 10)


@pytest.mark.parametrize(
    ("values", "received", "expected"),
    [
        ([[1.0, 2.0, 3.0], 0], "float32[2]", "float32[3] for variable 0, 'v0:0'"),
        ([[1.0, 2.0], 0.0], "int32[]", "float32[] for variable 1, 'v1:0'"),
        ([[1.0, 2.0]], "2 variables", "1 variables"),
        ([[1.0, 2.0], 0, 0], "2 variables", "3 variables"),
    ],
)
def test_a_checkpoint_of_another_architecture(tmp_path: Path, values: list[Any], received: str, expected: str) -> None:
    save(make(tmp_path / "c", [[1.0, 2.0], 3])[0], 10)
    with pytest.raises(ArtifactError) as caught:
        make(tmp_path / "c", values)[0].restore()
    assert str(caught.value) == (
        f"{tmp_path}/c/step-00000010: the checkpoint is of another architecture than the model that model_fn returns "
        f"now\n  received: {received}\n  expected: {expected}\n"
        f"  next: remove {tmp_path}/c to begin again from the start"
    )


def test_the_best_weights_come_back_and_the_rest_stays(tmp_path: Path) -> None:
    checkpoints, variables = make(tmp_path / "c", [1.0, 2.0])
    checkpoints.save_best(1)
    for variable in variables:
        variable.assign(9.0)
    checkpoints.restore_best(1)
    assert [variable.numpy() for variable in variables] == [1.0, 9.0]


def test_the_best_weights_stay_as_long_as_a_checkpoint_calls_them_the_best(tmp_path: Path) -> None:
    checkpoints, variables = make(tmp_path / "c", [0.0], keep=2)
    for epoch, best in [(1, 1), (2, 2), (3, 2), (4, 4)]:
        if best == epoch:
            variables[0].assign(epoch)
            checkpoints.save_best(epoch)
        save(checkpoints, 10 * epoch, early_stopping={"best_epoch": best})
    assert names(tmp_path / "c") == ["best-00000002", "best-00000004", "step-00000030", "step-00000040"]
    checkpoints.restore_best(2)
    assert variables[0].numpy() == 2.0


def test_another_worker_leaves_no_files(tmp_path: Path) -> None:
    checkpoints, _ = make(tmp_path / "c", [1.0], chief=False)
    save(checkpoints, 10)
    assert not (tmp_path / "c").exists()
