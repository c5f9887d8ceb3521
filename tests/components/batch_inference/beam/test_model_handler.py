from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import KeyedModelHandler, ModelMetadata, PredictionResult, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from penstock.components.batch_inference.beam.model_handler import LoadedModel, SavedModelHandler
from penstock.components.batch_inference.beam.row_scorer import Failed
from penstock.errors import ArtifactError, ConfigError
from tests.components.batch_inference.beam.test_row_scorer import example
from tests.components.batch_inference.scaler import save_scaler


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path whose version N multiplies by N."""
    base = tmp_path_factory.mktemp("models") / "scaler"
    for number in (1, 2):
        save_scaler(base / str(number), number)
    return base


def test_rows_with_and_without_a_key(base: Path):
    """The example of the documentation."""
    rows = [{"x": [1, 2]}, {"x": [-1, 2]}, {"x": [3, 4]}]
    keyed = [(f"row {number}", row) for number, row in enumerate(rows)]
    handler = SavedModelHandler(str(base), outputs=["sum"], max_batch_size=100)

    def told(result: PredictionResult) -> float | str:
        return "failed" if isinstance(result.inference, Failed) else float(result.inference["sum"])

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        plain = pipeline | "Rows" >> beam.Create(rows) | RunInference(handler) | beam.Map(told)
        with_keys = (
            pipeline
            | "Keyed" >> beam.Create(keyed)
            | "Keep keys" >> RunInference(KeyedModelHandler(handler))
            | "Tell" >> beam.MapTuple(lambda key, result: (key, told(result)))
        )
        assert_that(plain, equal_to([6.0, "failed", 14.0]), "plain")
        assert_that(with_keys, equal_to([("row 0", 6.0), ("row 1", "failed"), ("row 2", 14.0)]), "keyed")


def test_a_result_has_its_row_and_its_model(base: Path):
    handler = SavedModelHandler(str(base / "1"), signature="serialized")
    rows = [example(1, 2), b"no example"]
    first, second = handler.run_inference(rows, handler.load_model(), None)
    assert (first.example, first.model_id) == (rows[0], str(base / "1"))
    assert sorted(first.inference) == ["sum", "y"]
    assert first.inference["y"].tolist() == [1, 2]
    assert (second.example, type(second.inference)) == (rows[1], Failed)


def test_metrics_count_rows_and_errors(base: Path):
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = (
        pipeline
        | beam.Create([{"x": [1, 2]}, {"x": [-1, 2]}, {}])
        | RunInference(SavedModelHandler(str(base), max_batch_size=2))
    )
    result: Any = pipeline.run()
    result.wait_until_finish()
    found = {
        counter.key.metric.name: counter.committed
        for counter in result.metrics().query()["counters"]
        if counter.key.metric.namespace == "penstock.batch_inference"
    }
    assert (found["rows"], found["errors"], found["num_inferences"]) == (3, 2, 3)
    sizes = [
        distribution.committed.max
        for distribution in result.metrics().query()["distributions"]
        if distribution.key.metric.name == "inference_request_batch_size"
    ]
    assert sizes[0] <= 2


@pytest.mark.parametrize("path", ["{base}/1", "{base}/1/saved_model.pb"])
def test_another_model_is_taken_at_the_next_load(base: Path, path: str):
    handler = SavedModelHandler(str(base))
    assert handler.load_model().current().path == base / "2"
    handler.update_model_path(path.format(base=base))
    assert handler.load_model().current().path == base / "1"
    for nothing in ("", None):  # What Beam's WatchFilePattern says of a file that it has seen.
        handler.update_model_path(nothing)
    assert handler.load_model().current().path == base / "1"


def _score(handler: SavedModelHandler, model: LoadedModel) -> tuple[str | None, float]:
    (result,) = handler.run_inference([{"x": [1, 2]}], model)
    return Path(str(result.model_id)).name, float(result.inference["sum"])


def test_a_worker_follows_the_base_path_by_itself(base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    served = tmp_path / "scaler"
    shutil.copytree(base / "1", served / "1")
    handler = SavedModelHandler(str(served), refresh=0)
    stays = SavedModelHandler(str(served))
    model, other = handler.load_model(), stays.load_model()
    assert _score(handler, model) == ("1", 3)
    shutil.copytree(base / "2", served / "2")
    assert _score(handler, model) == ("2", 6)
    (served / "3").mkdir()
    assert _score(handler, model) == ("2", 6)
    (served / "3" / "saved_model.pb").write_bytes(b"no graph")
    with caplog.at_level(logging.ERROR):
        assert [_score(handler, model) for _ in range(3)] == [("2", 6)] * 3
    (message,) = caplog.messages
    assert message.startswith(
        f"{served}/2 stays, the new version cannot be loaded: {served}/3/saved_model.pb: the SavedModel cannot be read"
    )
    assert _score(stays, other) == ("1", 3)


def test_it_is_looked_for_newer_versions_no_more_often_than_told(base: Path, tmp_path: Path):
    served = tmp_path / "scaler"
    shutil.copytree(base / "1", served / "1")
    handler = SavedModelHandler(str(served), refresh=3600)
    model = handler.load_model()
    shutil.copytree(base / "2", served / "2")
    assert _score(handler, model) == ("1", 3)


def test_versions_replace_one_another_between_batches(base: Path):
    """What a side input says decides, from its window on, who answers."""
    stream = test_stream.TestStream()
    for number in (1, 2):
        stream.add_elements([TimestampedValue(_metadata(base, number), number * 10)], tag="versions")
        stream.add_elements([TimestampedValue({"x": [1, 2]}, number * 10 + 1)], tag="rows")
    for tag in ("versions", "rows"):
        stream.advance_watermark_to_infinity(tag=tag)
    with beam.Pipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        both = pipeline | stream
        found = (
            both["rows"]
            | "Rows" >> beam.WindowInto(FixedWindows(10))
            | RunInference(
                SavedModelHandler(str(base / "1")),
                model_metadata_pcoll=both["versions"] | "Versions" >> beam.WindowInto(FixedWindows(10)),
            )
            | beam.Map(lambda result: (result.model_id, float(result.inference["sum"])))
        )
        assert_that(found, equal_to([(str(base / "1"), 3.0), (str(base / "2"), 6.0)]))


def _metadata(base: Path, number: int) -> ModelMetadata:
    return ModelMetadata(str(base / str(number)), f"scaler_{number}")


def test_a_handler_travels(base: Path):
    handler = pickle.loads(pickle.dumps(SavedModelHandler(str(base), outputs=["sum"], max_batch_size=7)))
    assert handler.batch_elements_kwargs() == {"max_batch_size": 7}
    assert handler.load_model().current().rows.score([{"x": [1, 2]}]) == [{"sum": 6}]


def test_a_folder_without_a_model_is_said(tmp_path: Path):
    with pytest.raises(ArtifactError) as caught:
        SavedModelHandler(str(tmp_path)).load_model()
    assert str(caught.value) == (
        f"{tmp_path}: the folder holds no SavedModel\n"
        "  expected: a folder with saved_model.pb, or with numbered folders that have one"
    )
    with pytest.raises(ArtifactError, match="there is no such model"):
        SavedModelHandler(str(tmp_path / "nothing")).load_model()


def test_arguments_are_refused(base: Path):
    handler = SavedModelHandler(str(base))
    with pytest.raises(ConfigError, match="a SavedModel takes no inference_args"):
        _ = RunInference(handler, inference_args={"training": True}).expand(None)
    handler.validate_inference_args(None)
