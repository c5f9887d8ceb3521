"""What ``penstock infer --stream`` decides before TensorFlow and Beam are there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.cli.infer_stream import Following, Places, _reading_messages, is_elsewhere, places_of
from penstock.pipelines.engines.flags import beam_args
from tests.pipelines.models.pushed import configure, push

_TOPIC = "pubsub:projects/project/topics/results"
_ERRORS = "pubsub:projects/project/topics/errors"


def test_each_batch_gets_what_the_label_names_then(base: Path):
    following = Following("digits@stable", [base])
    first = following()
    assert (first.path, first.name, first.version) == (str(base / "1"), "digits", 1)
    assert following() is first
    configure(base, 1, 2, stable=2)
    second = following()
    assert (second.path, second.version) == (str(base / "2"), 2)


def test_the_newest_version_is_followed(base: Path):
    following = Following(str(base), [])
    assert following().path == str(base / "2")
    push(base, 3)
    assert following().path == str(base / "3")


def test_a_model_stays_when_what_names_it_is_gone(base: Path):
    following = Following("digits@stable", [base])
    first = following()
    configure(base, 1, 2)
    assert following() is first
    shutil.rmtree(base)
    assert following() is first


def test_a_model_that_never_was_is_said(base: Path):
    with pytest.raises(ConfigError, match="digits has no label 'canary'"):
        Following("digits@canary", [base])()


def test_files_go_to_files():
    assert places_of(["data/*.csv"], "out", None) is None
    assert not is_elsewhere("data/bigquery:x")


def test_messages_go_to_messages_and_rows_of_tables_to_tables():
    source = "pubsub:projects/project/subscriptions/rows"
    assert places_of([source], _TOPIC, _ERRORS) == Places(source, _TOPIC, _ERRORS)
    tables = ("bigquery:p.d.rows", "bigquery:p.d.results", "bigquery:p.d.errors")
    assert places_of([tables[0]], *tables[1:]) == Places(*tables)


def test_messages_are_read_by_a_local_runner_that_can():
    assert _reading_messages(beam_args("direct", {"flag": True})) == [
        "--runner=BundleBasedDirectRunner",
        "--direct_running_mode=in_memory",
        "--flag",
    ]
    assert _reading_messages(beam_args("dataflow", {})) == ["--runner=DataflowRunner"]


@pytest.mark.parametrize(
    ("inputs", "output", "errors", "text"),
    [
        (["a.csv"], "out", "errors", "--errors is for Pub/Sub and BigQuery\n  next: files have errors files beside"),
        (["bigquery:p.d.t"], "out", None, "--output: rows of Pub/Sub become messages, and rows of BigQuery rows of a"),
        ([_TOPIC], _TOPIC, None, "--errors: rows of Pub/Sub become messages, and rows of BigQuery rows of a table\n"),
        (["a.csv"], "bigquery:p.d.t", None, "--input: rows of Pub/Sub become messages"),
        ([_TOPIC, _TOPIC], _TOPIC, _ERRORS, f"--input: there is one input\n  received: {_TOPIC}, {_TOPIC}"),
    ],
)
def test_places_that_do_not_fit_are_said(inputs: list[str], output: str, errors: str | None, text: str):
    with pytest.raises(ConfigError) as caught:
        places_of(inputs, output, errors)
    assert str(caught.value).startswith(text)
