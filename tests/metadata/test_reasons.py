"""What a step would get now that it did not get in an earlier run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from penstock.metadata.reader import Reader
from penstock.metadata.reasons import Situation, changes
from tests.metadata.history import two_runs


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader(two_runs(tmp_path_factory.mktemp("store") / "metadata.sqlite").file, "digits")


@pytest.fixture
def last(reader):
    (execution,) = reader.newest_of_step("trainer", 1)
    assert execution.origin.run == "run-2"
    return execution


@pytest.fixture
def same(last):
    return Situation(last.inputs, dict(last.properties), {"model": "m2"}, {"tfx": "1.22.0"})


def told(reader, last, now):
    return [(one.kind, one.name, one.before, one.after) for one in changes(reader, "trainer", last, now)]


def test_nothing(reader, last, same):
    assert told(reader, last, same) == []


def test_a_parameter_within_a_config(reader, last, same):
    config = json.dumps({"epochs": 9, "hparams": {"units": 32}, "label": "x"})
    now = replace(same, parameters={**same.parameters, "config": config})
    assert told(reader, last, now) == [
        ("parameter", "epochs", 8, 9),
        ("parameter", "hparams.units", 64, 32),
        ("parameter", "label", None, "x"),
    ]


def test_a_plain_parameter(reader, last, same):
    now = replace(same, parameters={**same.parameters, "splits": '["eval"]', "_beam": "x", "blob": b"x"})
    assert told(reader, last, now) == [("parameter", "splits", None, '["eval"]')]


def test_an_input_is_told_by_what_made_it(reader, last, same):
    now = replace(same, inputs={"examples": (2,), "schema": (99,)})
    assert told(reader, last, now) == [
        ("input", "examples", "1 (of examples in run run-1)", "2 (of trainer in run run-1)"),
        ("input", "schema", None, "99"),
    ]


def test_code_is_told_by_module(reader, last, same):
    now = replace(same, parameters={**same.parameters, "user_code": "new"}, code={"model": "m3", "layers": "l1"})
    assert told(reader, last, now) == [("code", "model", "m2", "m3"), ("code", "layers", None, "l1")]


def test_code_of_a_run_that_did_not_record_its_modules(reader, last, same):
    before = replace(last, origin=replace(last.origin, run="unknown"))
    now = replace(same, parameters={**same.parameters, "user_code": "new"}, code={"b": "1", "a": "2"})
    assert told(reader, before, now) == [("code", "b, a", "other content", "its content now")]


def test_libraries(reader, last, same):
    now = replace(same, versions={"tfx": "1.23.0", "keras": "3"})
    assert told(reader, last, now) == [("version", "tfx", "1.22.0", "1.23.0"), ("version", "keras", None, "3")]


def test_data_outside_is_told_by_split(reader, last, same):
    before = replace(last, properties={"input_fingerprint": "split:train,num_files:1\nsplit:eval,num_files:1"})
    now = replace(same, parameters={"input_fingerprint": "split:train,num_files:2\nsplit:eval,num_files:1"})
    assert told(reader, before, now) == [("data", "train files", "1", "2")]
