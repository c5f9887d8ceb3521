"""What the parameters may say."""

import pytest
from pydantic import ValidationError

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.words import byte_count


def test_the_example_of_the_documentation():
    config = BatchInferenceConfig.model_validate(
        {
            "signature": "serving_default",
            "output": {"format": "jsonl", "include": ["id"], "outputs": ["label", "probabilities"]},
            "batch": {"max_rows": 4096, "max_bytes": "64MB"},
            "max_error_rate": 0.001,
            "mode": "saved_model",
        }
    )
    assert config.output.suffix == ".jsonl"
    assert config.remote is None
    assert config.unused_inputs() == frozenset()


def test_a_server():
    config = BatchInferenceConfig.model_validate(
        {"mode": {"remote": {"grpc": "host:8500", "model": "digits", "label": "stable", "in_flight": 4}}}
    )
    assert config.remote is not None
    assert config.remote.label == "stable"
    assert config.unused_inputs() == {"model", "model_blessing", "pushed_model"}


def test_files_leave_the_examples_without_a_use():
    assert BatchInferenceConfig.model_validate({"input": {"files": "*.csv"}}).unused_inputs() == {"examples"}


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), ("500kB", 500_000), ("64MB", 64_000_000), ("1.5GB", 1_500_000_000), ("2 KB", 2000)]
)
def test_sizes(text, count):
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "0", "-1MB", "MB", "64MiB", "0.1B"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="must be a size such as 500kB, 64MB or 1GB; received"):
        byte_count(text)


@pytest.mark.parametrize(
    ("output", "compression", "suffix"),
    [
        ("jsonl", None, ".jsonl"),
        ("jsonl", "gzip", ".jsonl.gz"),
        ("csv", "gzip", ".csv.gz"),
        ("parquet", None, ".parquet"),
        ("parquet", "gzip", ".parquet"),
        ("tf_example", None, ".tfrecord.gz"),
        ("prediction_log", "none", ".tfrecord"),
    ],
)
def test_suffixes(output, compression, suffix):
    config = BatchInferenceConfig.model_validate({"output": {"format": output, "compression": compression}})
    assert config.output.suffix == suffix


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output": {"compression": "zstd"}}, "jsonl is compressed by none or gzip; received 'zstd'"),
        ({"output": {"outputs": []}}, "at least 1 item"),
        ({"batch": {"max_bytes": "lots"}}, "must be a size"),
        ({"batch": {"max_bytes": "2GB"}}, "must be at most 1GB; received '2GB'"),
        ({"max_error_rate": 2}, "less than or equal to 1"),
        (
            {"mode": {"remote": {"grpc": "a:1", "model": "m", "label": "l", "version": 1}}},
            "give either `label` or `version`",
        ),
        ({"model": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_refusals(values, message):
    with pytest.raises(ValidationError, match=message):
        BatchInferenceConfig.model_validate(values)
