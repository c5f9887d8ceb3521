"""Why a step would run: what changed since it last ended well."""

import json

import pytest

from penstock.metadata import Execution
from penstock.pipelines.plan import changes


def last(inputs=None, **properties):
    return Execution(id=1, state="COMPLETE", properties=properties, inputs=inputs or {}, updated=0)


@pytest.mark.parametrize(
    ("before", "now", "reasons"),
    [
        ({"user_code": "a"}, {"user_code": "b"}, ["its user code changed"]),
        ({"input_fingerprint": "a"}, {"input_fingerprint": "b"}, ["its data changed"]),
        ({"exclude_splits": "[]"}, {"exclude_splits": '["eval"]'}, ["parameter exclude_splits changed"]),
        ({"_beam": "a"}, {"_beam": "b"}, []),
        ({"same": 1}, {"same": 1}, []),
    ],
)
def test_parameters(before, now, reasons):
    assert list(changes(last(**before), {}, now)) == reasons


def test_configs_of_our_components_are_compared_key_by_key():
    before = json.dumps({"epochs": 5, "seed": 0})
    now = json.dumps({"epochs": 8, "seed": 0, "label": "x"})
    assert list(changes(last(config=before), {}, {"config": now})) == ["epochs: 5 → 8", 'label: null → "x"']


def test_inputs():
    execution = last(inputs={"examples": (3,), "schema": (4,)})
    assert list(changes(execution, {"examples": (9,), "schema": (4,)}, {})) == ["input examples changed"]
