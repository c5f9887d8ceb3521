import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from penstock.components.pusher.config import PusherConfig


def test_defaults():
    config = PusherConfig.model_validate({"destination": {"directory": "serving/digits"}})
    assert (config.version, config.require_blessing) == ("next", False)


@pytest.mark.parametrize("version", ["next", "timestamp", 1, 2**63 - 1])
def test_a_version_survives_the_way_through_json(version: str | int):
    config = PusherConfig.model_validate({"destination": {"directory": "d"}, "version": version})
    assert PusherConfig.model_validate_json(config.model_dump_json()).version == version


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (0, "Input should be greater than or equal to 1"),
        (-3, "Input should be greater than or equal to 1"),
        (2**63, "Input should be less than or equal to 9223372036854775807"),
        ("7", "Input should be 'next' or 'timestamp'"),
        ("latest", "Input should be 'next' or 'timestamp'"),
        (True, "Input should be 'next' or 'timestamp'"),
        (1.5, "Input should be 'next' or 'timestamp'"),
    ],
)
def test_a_wrong_version_is_refused(version: object, message: str):
    with pytest.raises(ValidationError, match=re.escape(message)):
        PusherConfig.model_validate({"destination": {"directory": "d"}, "version": version})


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ({"directory": "gs://bucket/digits"}, "an object store cannot rename, so its server must not poll it: add"),
        ({"directory": "d", "config": "gs://bucket/models.config"}, "`config` must be a local file, not a URL"),
        ({"directory": ""}, "String should have at least 1 character"),
        ({}, "give one of `directory`, `tf_serving` and `tflite_directory`"),
        (
            {"directory": "d", "tf_serving": {"base_path": "d", "grpc": "h:1"}},
            "give one of `directory`, `tf_serving` and `tflite_directory`",
        ),
        ({"tf_serving": {"base_path": "d", "grpc": "h"}}, "must be host:port, such as localhost:8500; received 'h'"),
        ({"directory": "d", "folder": "e"}, "Extra inputs are not permitted"),
        ({"directory": "d", "tflite_directory": "e"}, "give one of `directory`, `tf_serving` and `tflite_directory`"),
        (
            {"tflite_directory": "d", "config": "models.config"},
            "`config` is a model server's, and none reads the flatbuffers of `tflite_directory`",
        ),
        (
            {"tflite_directory": "gs://bucket/digits"},
            "`tflite_directory` must be a folder: an object store cannot rename, so devices could fetch half a version",
        ),
    ],
)
def test_a_wrong_destination_is_refused(destination: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=re.escape(message)):
        PusherConfig.model_validate({"destination": destination})


def test_every_field_is_described():
    schema = json.dumps(PusherConfig.model_json_schema())
    fields = PusherConfig.model_fields
    assert all(field.description for field in fields.values())
    assert "seconds since 1970" in schema


def _config(**values: object) -> PusherConfig:
    return PusherConfig.model_validate({"destination": {"directory": "serving/digits"}, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_name": "a/b"}, "a model's name is made of letters, digits, _, - and single dots inside"),
        ({"model_name": ".."}, "a model's name is made of letters, digits, _, - and single dots inside"),
        ({"labels": {"a/b": "this"}}, "a label is made of letters, digits, _, - and single dots inside"),
        ({"labels": {"stable": "kept"}}, "Input should be 'this', 'latest' or 'keep'"),
        ({"labels": {"stable": True}}, "Input should be 'this', 'latest' or 'keep'"),
        ({"labels": {"stable": 0}}, "Input should be greater than or equal to 1"),
        ({"warmup": {"rows": 1001}}, "Input should be less than or equal to 1000"),
        ({"warmup": {"rows": 0}}, "Input should be greater than 0"),
        ({"keep_versions": 0}, "Input should be greater than 0"),
        ({"gate_timeout": "soon"}, "must be a duration such as 500ms, 60s, 5m or 1h; received 'soon'"),
        (
            {"wait_until_available": "60s"},
            "`wait_until_available` has no server to ask: write destination: {tf_serving",
        ),
        (
            {"batching": {"max_batch_size": 8, "allowed_batch_sizes": [2, 4]}},
            "`allowed_batch_sizes` must ascend and end with `max_batch_size` (8)",
        ),
        ({"destination": {"directory": "bad name"}, "labels": {"stable": "this"}}, "received 'bad name'"),
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=re.escape(message)):
        _config(**values)


@pytest.mark.parametrize(
    ("values", "given"),
    [
        ({"model_name": "digits"}, "`model_name`"),
        ({"labels": {"stable": "this"}}, "`labels`"),
        ({"warmup": {"rows": 3}}, "`warmup`"),
        ({"batching": {"max_batch_size": 8}, "wait_until_available": "9s"}, "`batching`, `wait_until_available`"),
    ],
)
def test_flatbuffers_have_no_server_to_speak_to(values: dict[str, object], given: str):
    message = (
        f"Value error, no model server reads the flatbuffers of `tflite_directory`; leave out {given}, or push the "
        "SavedModel to a `directory` by another step"
    )
    with pytest.raises(ValidationError, match=re.escape(message)):
        _config(destination={"tflite_directory": "serving/digits"}, **values)


def test_what_flatbuffers_have_in_common_with_other_models():
    values = {"version": 7, "keep_versions": 2, "gate_timeout": "30s", "require_blessing": True}
    made = _config(destination={"tflite_directory": "serving/digits"}, **values)
    assert made.model_dump(include=set(values)) == values


def test_the_name_is_the_base_paths_unless_it_is_given():
    assert _config().name == "digits"
    assert _config(model_name="mnist").name == "mnist"


def test_a_config_file_is_kept_only_where_something_asks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert _config().config_file is None
    assert _config(model_name="mnist").config_file == tmp_path / "serving/models.config"
    assert _config(labels={"stable": "this"}).config_file == tmp_path / "serving/models.config"
    given = _config(destination={"directory": "gs://bucket/digits", "config": "/etc/models.config"})
    assert given.config_file == Path("/etc/models.config")


def test_rows_are_wired_only_for_warm_up():
    assert _config().unused_inputs() == {"examples", "tflite_model"}
    assert _config(warmup={}).unused_inputs() == {"tflite_model"}


def test_the_destination_decides_what_is_pushed():
    flatbuffers = _config(destination={"tflite_directory": "serving/digits-tflite"})
    assert flatbuffers.needed_inputs() == {"tflite_model"}
    assert flatbuffers.unused_inputs() == {"examples", "model"}
    assert _config().needed_inputs() == {"model"}
    assert (flatbuffers.name, flatbuffers.config_file) == ("digits-tflite", None)


def test_a_whole_config_survives_the_way_through_json():
    config = _config(
        destination={"tf_serving": {"base_path": "serving/digits", "grpc": "localhost:8500"}},
        model_name="digits",
        labels={"stable": "keep", "canary": "this", "old": 3},
        warmup={"rows": 20},
        batching={"max_batch_size": 64, "batch_timeout_micros": 2000, "allowed_batch_sizes": [8, 64]},
        wait_until_available="60s",
        keep_versions=5,
    )
    assert PusherConfig.model_validate_json(config.model_dump_json()) == config
