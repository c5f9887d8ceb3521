from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.warmup import warm_up_requests
from penstock.errors import ArtifactError
from tests.components.pusher.conftest import example, write_rows

ROWS = [example(x=[float(row), 0.5], label=[row]) for row in range(30)]


def _logs(content: bytes, folder: Path) -> list[Any]:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    file = folder / "requests"
    file.write_bytes(content)
    return [prediction_log_pb2.PredictionLog.FromString(row.numpy()) for row in tf.data.TFRecordDataset(str(file))]


@pytest.mark.parametrize("name", ["rows.gz", "rows"])
def test_each_row_asks_every_signature_that_takes_it(saved_model: Path, tmp_path: Path, name: str):
    import tensorflow as tf

    file = write_rows(tmp_path / name, ROWS)
    made = warm_up_requests(saved_model, "digits", [str(file)], 3)
    requests = [log.predict_log.request for log in _logs(made.content, tmp_path)]
    assert made.requests == len(requests) == 6
    assert made.left_out == ("other",)
    assert [request.model_spec.signature_name for request in requests] == ["predict"] * 3 + ["serving_default"] * 3
    assert {request.model_spec.name for request in requests} == {"digits"}
    assert tf.make_ndarray(requests[2].inputs["x"]).tolist() == [[2.0, 0.5]]
    assert tf.make_ndarray(requests[5].inputs["examples"]).tolist() == [ROWS[2]]


def test_all_files_are_read_until_there_are_enough_rows(saved_model: Path, tmp_path: Path):
    files = [str(write_rows(tmp_path / f"rows-{number}", ROWS[:2])) for number in range(3)]
    assert warm_up_requests(saved_model, "digits", files, 5).requests == 10


def test_no_more_requests_than_a_server_replays(saved_model: Path, tmp_path: Path):
    file = write_rows(tmp_path / "rows", ROWS * 40)
    assert warm_up_requests(saved_model, "digits", [str(file)], 1000).requests == 2 * (1000 // 3)


def test_an_empty_split_is_an_error(saved_model: Path, tmp_path: Path):
    file = write_rows(tmp_path / "Split-eval" / "rows", [])
    with pytest.raises(ArtifactError) as caught:
        warm_up_requests(saved_model, "digits", [str(file)], 3)
    assert str(caught.value) == (
        f"{tmp_path}/Split-eval: there is no row to make warm-up requests of\n"
        "  expected: at least one tf.Example\n"
        "  next: choose another `warmup.split`, or leave `warmup` out"
    )


def test_a_damaged_file_is_an_error(saved_model: Path, tmp_path: Path):
    file = write_rows(tmp_path / "rows", ROWS)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match="the examples cannot be read: ") as caught:
        warm_up_requests(saved_model, "digits", [str(file)], 100)
    assert caught.value.where == str(file)


def test_rows_that_are_no_examples_are_an_error(saved_model: Path, tmp_path: Path):
    file = write_rows(tmp_path / "rows", [b"\xff"])
    with pytest.raises(ArtifactError, match=r"a row is no tf\.Example"):
        warm_up_requests(saved_model, "digits", [str(file)], 100)


@pytest.mark.parametrize("row", [example(x=[1.0]), example(x=[1]), example(x=[b"a", b"b"]), example(x=[])])
def test_a_row_that_a_signature_does_not_take_by_name_leaves_it_out(saved_model: Path, tmp_path: Path, row: bytes):
    file = write_rows(tmp_path / "rows", [row])
    made = warm_up_requests(saved_model, "digits", [str(file)], 1)
    assert made.left_out == ("other", "predict")


def test_a_model_that_takes_no_rows_at_all_is_an_error(tmp_path: Path):
    import tensorflow as tf

    module = tf.Module()
    module.f = tf.function(lambda z: {"y": z}, input_signature=[tf.TensorSpec([None, 2], tf.float32, "z")])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.f})
    file = write_rows(tmp_path / "rows", ROWS)
    with pytest.raises(ArtifactError) as caught:
        warm_up_requests(tmp_path / "model", "digits", [str(file)], 1)
    assert str(caught.value) == (
        f"{tmp_path}/model: no signature takes the rows of `examples`\n"
        "  received: serving_default(z: float32)\n"
        "  expected: a signature that takes serialized tf.Examples, or features of the rows by name\n"
        "  next: wire `examples` to the raw examples, or leave `warmup` out"
    )


def test_equal_rows_give_equal_files(saved_model: Path, tmp_path: Path):
    file = write_rows(tmp_path / "rows", ROWS)
    first, second = (warm_up_requests(saved_model, "digits", [str(file)], 9) for _ in range(2))
    assert first == second
