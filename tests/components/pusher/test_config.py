import json
import re

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
        ({"directory": "gs://bucket/digits"}, "must be a local folder, not a URL"),
        ({"directory": ""}, "String should have at least 1 character"),
        ({}, "Field required"),
        ({"directory": "d", "folder": "e"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_destination_is_refused(destination: dict[str, str], message: str):
    with pytest.raises(ValidationError, match=re.escape(message)):
        PusherConfig.model_validate({"destination": destination})


def test_every_field_is_described():
    schema = json.dumps(PusherConfig.model_json_schema())
    fields = PusherConfig.model_fields
    assert all(field.description for field in fields.values())
    assert "seconds since 1970" in schema
