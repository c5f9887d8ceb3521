"""Inputs, outputs and models behind URLs, with stores that can neither rename nor lock."""

from __future__ import annotations

import gzip
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.batch_inference import remote_files
from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.beam.row_scorer import Failed
from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.infer import explain, infer, infer_here
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.places import Url
from penstock.components.batch_inference.request import InferenceRequest, InferenceResult, PinnedModel
from penstock.components.batch_inference.score_shard import score_shard
from penstock.components.batch_inference.store import UrlStore
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from tests.components.batch_inference import stores
from tests.components.batch_inference.conftest import example, read_lines
from tests.conftest import REPOSITORY


@dataclass
class Bucket:
    """``store://bucket``, and the folder in which its objects lie."""

    folder: Path
    model: PinnedModel

    url = "store://bucket"

    def put(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"{self.url}/{name}"

    def put_model(self, name: str = "models/1") -> PinnedModel:
        for path in Path(self.model.path).rglob("*"):
            if path.is_file():
                self.put(f"{name}/{path.relative_to(self.model.path).as_posix()}", path.read_bytes())
        return pin(Url(f"{self.url}/{name}"), name="scaler", version=1)

    def request(self, *files: str, **config: Any) -> InferenceRequest:
        checked = BatchInferenceConfig.model_validate(config)
        return InferenceRequest(checked, files, Url(f"{self.url}/out"), self.model)

    def run(self, *files: str, **config: Any) -> InferenceResult:
        return infer_here(self.request(*files, **config))

    def results(self) -> list[dict[str, Any]]:
        return read_lines(sorted((self.folder / "out").glob("prediction.results-*")))

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def bucket(tmp_path: Path, scaler: PinnedModel, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv(stores.FOLDER, str(tmp_path / "store"))
    return Bucket(tmp_path / "store" / "bucket", scaler)


def _lines(rows: Sequence[Any]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _records(records: Sequence[bytes], path: str, compression: str = "") -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(path, compression) as writer:
        for record in records:
            writer.write(record)


def _written(tmp_path: Path, rows: int, compression: str = "") -> bytes:
    _records([example(x=[float(n), 1.0]) for n in range(rows)], str(tmp_path / "made"), compression)
    return (tmp_path / "made").read_bytes()


def test_an_output_is_its_files_and_a_manifest_and_nothing_else_stays(bucket: Bucket):
    for letter in "ab":
        bucket.put(f"in/{letter}.jsonl", _lines([[1, 2], [3, 4]]))
    bucket.put("in/_SUCCESS", b"")
    result = bucket.run(f"{bucket.url}/in/*.jsonl")
    assert (result.rows, result.errors, str(result.output)) == (4, 0, "store://bucket/out")
    assert [(row["key"], row["sum"]) for row in bucket.results()] == [
        ("a.jsonl:0", 6), ("a.jsonl:1", 14), ("b.jsonl:0", 6), ("b.jsonl:1", 14)
    ]  # fmt: skip
    outputs = [name for name in bucket.names() if not name.startswith("in/")]
    assert outputs == ["out/prediction.manifest.json", *(f"out/{name}" for name in result.files)]
    manifest = json.loads((bucket.folder / "out/prediction.manifest.json").read_text())
    assert [file["path"] for file in manifest["inputs"]] == [f"{bucket.url}/in/{letter}.jsonl" for letter in "ab"]


def test_a_folder_is_its_files_without_the_hidden_ones(bucket: Bucket):
    bucket.put("in/a.jsonl", _lines([[1, 2]]))
    bucket.put("in/_SUCCESS", b"")
    assert bucket.run(f"{bucket.url}/in").rows == 1


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl.gz", "a.parquet", "a.tfrecord", "a.tfrecord.gz"])
def test_every_format_is_read(bucket: Bucket, tmp_path: Path, name: str):
    content = {
        "csv": b'x\n"[0, 1]"\n"[1, 1]"\n',
        "jsonl": _lines([{"x": [0, 1]}, {"x": [1, 1]}]),
        "parquet": b"",
        "tfrecord": _written(tmp_path, 2),
    }[name.split(".")[1]]
    if name == "a.parquet":
        pq.write_table(pa.table({"x": [[0.0, 1.0], [1.0, 1.0]]}), tmp_path / "made")
        content = (tmp_path / "made").read_bytes()
    bucket.put(name, gzip.compress(content) if name.endswith(".gz") else content)
    signature = "serialized" if "tfrecord" in name else "serving_default"
    assert bucket.run(f"{bucket.url}/{name}", signature=signature).results == 2
    assert [row["sum"] for row in bucket.results()] == [2, 4]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_damaged_record_is_told_and_what_follows_is_read(bucket: Bucket, tmp_path: Path, compression: str):
    content = bytearray(_written(tmp_path, 9))
    content[14] ^= 1
    url = bucket.put("a.tfrecord", gzip.compress(bytes(content)) if compression else bytes(content))
    result = bucket.run(url, signature="serialized", max_error_rate=1)
    assert (result.rows, result.errors) == (9, 1)
    assert [row["key"] for row in bucket.results()] == [f"a.tfrecord:{n}" for n in range(1, 9)]


def test_large_parquet_is_read_in_parts(bucket: Bucket, tmp_path: Path):
    table = pa.table({"x": [[float(n), 1.0] for n in range(40)]})
    pq.write_table(table, tmp_path / "made", row_group_size=10)
    bucket.put("a.parquet", (tmp_path / "made").read_bytes())
    result = bucket.run(f"{bucket.url}/a.parquet", input={"split_size": "100B"})
    assert len(result.files) == 4
    assert [row["sum"] for row in bucket.results()] == [2.0 * n + 2 for n in range(40)]


def test_files_of_a_list_lie_beside_it_or_behind_a_url(bucket: Bucket):
    bucket.put("images/a", example(x=[1.0, 1.0]))
    bucket.put("b", example(x=[2.0, 1.0]))
    url = bucket.put("list.txt", b"images/a\nstore://bucket/b\nnowhere\n")
    bucket.run(url, signature="serialized", input={"format": "file_list"}, max_error_rate=1)
    assert [(row["key"], row["sum"]) for row in bucket.results()] == [("images/a", 4), ("store://bucket/b", 6)]
    (error,) = read_lines(sorted((bucket.folder / "out").glob("prediction.errors-*")))
    assert error["cause"] == "the file cannot be read: No such file or directory"


@pytest.mark.parametrize("form", ["parquet", "csv", "tf_example", "prediction_log"])
def test_every_format_is_written(bucket: Bucket, form: str):
    bucket.put("a.jsonl", _lines([[1, 2]]))
    (name,) = bucket.run(f"{bucket.url}/a.jsonl", output={"format": form}).files
    assert (bucket.folder / "out" / name).stat().st_size > 0


def test_tensorflow_reads_what_it_knows_itself(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    def copied(*_: object) -> None:
        raise AssertionError("copied")

    monkeypatch.setattr("penstock.components.batch_inference.reading.tfrecords.download", copied)
    url = "ram://bucket/in/a.tfrecord"
    _records([example(x=[float(n), 1.0]) for n in range(3)], url)
    assert bucket.run(url, signature="serialized").results == 3
    assert [row["sum"] for row in bucket.results()] == [2, 4, 6]


def test_a_model_behind_a_url(bucket: Bucket):
    here, bucket.model = bucket.model, bucket.put_model()
    assert (bucket.model.path, bucket.model.digest) == ("store://bucket/models/1", here.digest)
    url = bucket.put("a.jsonl", _lines([[1, 2]]))
    assert explain(bucket.request(url))[1:3] == ["signature serving_default", "  x: float32 [rows, 2] ← column 'value'"]
    assert bucket.run(url).model_digest == here.digest
    assert [row["sum"] for row in bucket.results()] == [6]


def test_the_newest_version_behind_a_url_for_run_inference(bucket: Bucket):
    for version in ("2", "10"):
        bucket.put_model(f"models/{version}")
    bucket.put("models/11/half", b"")
    newest = SavedModelHandler("store://bucket/models", signature="serialized").load_model().current()
    assert str(newest.path) == "store://bucket/models/10"
    (answer,) = newest.rows.score([example(x=[1.0, 2.0])])
    assert not isinstance(answer, Failed)
    assert answer["sum"] == 6


def test_a_model_that_is_replaced_behind_its_url_is_not_mixed_in(bucket: Bucket):
    bucket.model = bucket.put_model("models/2")
    bucket.put("models/2/assets/words.txt", b"new")
    with pytest.raises(ArtifactError, match="store://bucket/models/2: the model was replaced during the run"):
        bucket.run(bucket.put("a.jsonl", _lines([[1, 2]])))


def test_there_is_no_such_model(bucket: Bucket):
    with pytest.raises(ArtifactError, match="store://bucket/nowhere: there is no such model"):
        pin(Url("store://bucket/nowhere"))


def test_the_manifest_goes_first_and_comes_last(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    """No consumer takes files of two runs for one output."""
    url = bucket.put("a.jsonl", _lines([[1, 2]]))
    bucket.run(url)
    bucket.put("a.jsonl", _lines([[3, 4], [5, 6]]))
    manifest = bucket.folder / "out/prediction.manifest.json"
    copy, seen = remote_files.copy_all, []

    def copied(*arguments: Any) -> None:
        seen.append(manifest.exists())
        copy(*arguments)
        seen.append(manifest.exists())

    monkeypatch.setattr(remote_files, "copy_all", copied)
    with pytest.raises(ConfigError, match="holds the complete results of another run"):
        bucket.run(url)
    infer_here(replace(bucket.request(url), overwrite=True))
    assert seen == [False, False]
    assert manifest.exists()
    assert len(bucket.results()) == 2


def test_a_run_that_was_killed_while_it_published_is_completed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    for letter in "ab":
        bucket.put(f"{letter}.jsonl", _lines([[1, 2]]))
    copy = remote_files.copy_all

    def killed(names: Sequence[str], *places: str) -> None:
        copy(names[:1], *places)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(remote_files, "copy_all", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.run(f"{bucket.url}/*.jsonl")
    assert not (bucket.folder / "out/prediction.manifest.json").exists()
    monkeypatch.setattr("penstock.components.batch_inference.score_shard._scored", None)  # All is scored already.
    assert bucket.run(f"{bucket.url}/*.jsonl").rows == 2
    assert [row["key"] for row in bucket.results()] == ["a.jsonl:0", "b.jsonl:0"]
    assert not [name for name in bucket.names() if "partial" in name]


def test_a_second_run_into_the_same_output_is_found_out(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    url = bucket.put("a.jsonl", _lines([[1, 2]]))
    other = UrlStore(f"{bucket.url}/.partial-out")

    def overtaken(*arguments: Any) -> Any:
        with other.held():
            return score_shard(*arguments)

    monkeypatch.setattr("penstock.components.batch_inference.infer.score_shard", overtaken)
    with pytest.raises(EnvironmentProblem, match="another run has begun to write the same output"):
        bucket.run(url)


def test_what_others_have_written_stays(bucket: Bucket):
    url = bucket.put("a.jsonl", _lines([[1, 2]]))
    bucket.put("out/notes.txt", b"mine")
    with pytest.raises(ConfigError) as raised:
        bucket.run(url)
    assert str(raised.value) == (
        "store://bucket/out: the output folder holds other files, and they stay\n"
        "  received: notes.txt\n"
        "  expected: a path that is free, an empty folder, or one with prediction.manifest.json"
    )


def test_too_many_errors_keep_the_errors_file(bucket: Bucket):
    url = bucket.put("a.jsonl", _lines([[1, 2], [-1, 2]]))
    with pytest.raises(ArtifactError) as raised:
        bucket.run(url)
    kept = "store://bucket/.partial-out/output/prediction.errors-00000-of-00001.jsonl"
    assert raised.value.where == kept
    assert (bucket.folder / kept.removeprefix("store://bucket/")).is_file()
    assert bucket.run(url, max_error_rate=0.5).errors == 1


def test_a_whole_bucket_is_no_output(bucket: Bucket):
    request = replace(bucket.request(bucket.put("a.jsonl", _lines([[1, 2]]))), output=Url("store://bucket"))
    with pytest.raises(ConfigError) as raised:
        infer_here(request)
    assert str(raised.value) == (
        "store://bucket: the output is a whole bucket\n  expected: a folder in it: store://bucket/name"
    )


def test_nothing_matches(bucket: Bucket):
    with pytest.raises(ConfigError) as raised:
        bucket.run(f"{bucket.url}/*.csv")
    assert str(raised.value) == (
        "store://bucket/*.csv: no input file matches\n"
        "  expected: the URL of a file or folder, or a glob, in which ** stands for any folders"
    )


def test_a_scheme_that_nobody_knows(bucket: Bucket):
    with pytest.raises(EnvironmentProblem) as raised:
        bucket.run("abfs://bucket/*.csv")
    assert raised.value.what == "the store cannot be listed"
    assert raised.value.where == "abfs://bucket/*.csv"


@pytest.mark.e2e
def test_workers_in_another_process_need_nothing_of_this_machine(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    """As on Dataflow: rows, model, results and all that the run notes lie in the store."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    worker = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
    bucket.model = bucket.put_model()
    for letter in "abc":
        bucket.put(f"in/{letter}.jsonl", _lines([{"x": [n, 1]} for n in range(5)] + [{"x": [-1, 0]}]))
    request = bucket.request(f"{bucket.url}/in/*.jsonl", max_error_rate=0.2, output={"outputs": ["sum"]})
    options = beam.options.pipeline_options.PipelineOptions(
        [
            "--runner=PortableRunner", "--job_endpoint=embed", f"--environment_config={worker}",
            "--environment_type=beam:env:harness_subprocess_python:v1", f"--beam_plugin={stores.__name__}.Store",
        ]
    )  # fmt: skip
    result = infer(request, lambda: beam.Pipeline(options=options))
    assert (result.rows, result.results, result.errors) == (18, 15, 3)
    assert bucket.results() == [{"key": f"{f}.jsonl:{n}", "sum": 2.0 * (n + 1)} for f in "abc" for n in range(5)]
    assert not [name for name in bucket.names() if "partial" in name]
