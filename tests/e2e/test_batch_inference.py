"""``penstock infer`` as a user runs it."""

import json
import shlex
import sys

import pytest

from tests.components.batch_inference.conftest import example, read_lines
from tests.components.batch_inference.scaler import save_scaler
from tests.e2e.conftest import penstock


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import tensorflow as tf

    found = tmp_path_factory.mktemp("infer")
    save_scaler(found / "models" / "scaler" / "4", 2.0)
    for letter in "ab":
        with tf.io.TFRecordWriter(str(found / f"{letter}.tfrecord")) as writer:
            for n in range(100):
                writer.write(example(x=[float(n), -1.0 if n == 7 else 1.0], id=n))
    return found


INFER = ("infer", "--model", "models/scaler", "--signature", "serialized", "--input", "*.tfrecord")


def test_too_many_errors_then_enough_allowed_then_nothing_to_do(folder):
    ended = penstock(*INFER, "--output", "out", "--include", "id", cwd=folder)
    assert ended.returncode == 1
    assert "2 of 200 rows got no prediction, more than max_error_rate 0 allows" in ended.stderr
    assert "Traceback" not in ended.stderr
    kept = sorted((folder / ".partial-out/output").glob("prediction.errors-*"))
    assert [row["row"] for row in read_lines(kept)] == [7, 7]

    ended = penstock(*INFER, "--output", "out", "--include", "id", "--max-error-rate", "0.01", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == (
        "Model: version 4 in models/scaler, the newest\ngoes on from an earlier attempt: 2 of 2 shards are finished\n"
    )
    assert ": 198 results, 2 errors\n  2 rows: the model refuses it: assertion failed: [a number is negative]\n" in (
        ended.stdout
    )
    rows = read_lines(sorted((folder / "out").glob("prediction.results-*")))
    assert [(row["id"], row["y"][0]) for row in rows] == [(n, 2.0 * n) for n in range(100) if n != 7] * 2

    ended = penstock(*INFER, "--output", "out", "--include", "id", "--max-error-rate", "0.01", "--json", cwd=folder)
    answer = json.loads(ended.stdout)
    assert (answer["reused"], answer["rows"], answer["errors"]) == (True, 200, 2)
    assert answer["model"]["version"] == 4


def test_two_worker_processes(folder):
    ended = penstock(
        *INFER, "--output", "two", "--output-format", "parquet", "--max-error-rate", "1",
        "--beam", "direct_running_mode=multi_processing", "--beam", "direct_num_workers=2", cwd=folder,
    )  # fmt: skip
    if shlex.quote(sys.executable) != sys.executable:
        assert ended.returncode == 1
        assert "Beam cannot start worker processes with this Python" in ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((folder / "two/prediction.manifest.json").read_text())
    assert (manifest["rows"], manifest["results"], manifest["errors"]) == (200, 198, 2)


def test_explain(folder):
    ended = penstock(*INFER, "--explain", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[1:] == [
        "signature serialized",
        "  examples ← each tf.Example as it is",
        "    it parses x: float32 [2]",
        "  → sum: float32 [rows]",
        "  → y: float32 [rows, 2]",
    ]
