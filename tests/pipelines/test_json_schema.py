"""configs/schema.json is what the code says now, and flags what it should."""

import json

from penstock.pipelines.json_schema import pipeline_schema
from tests.conftest import REPOSITORY


def test_the_committed_schema_is_up_to_date():
    committed = json.loads((REPOSITORY / "configs/schema.json").read_text(encoding="utf-8"))
    assert committed == pipeline_schema(), "run: penstock schema > configs/schema.json"


def test_every_component_has_a_rule():
    schema = pipeline_schema()
    rules = {
        rule["if"]["properties"]["component"]["const"]: rule["then"] for rule in schema["$defs"]["StepConfig"]["allOf"]
    }
    transform = rules["Transform"]["properties"]
    assert (
        transform["with"]["properties"]["preprocessing_fn"]["anyOf"][0]["description"] == "Import path of a function."
    )
    assert transform["inputs"]["properties"]["schema"] == {"description": "Schema: step.output"}
    assert "epochs" in rules["Trainer"]["properties"]["with"]["properties"]


def test_every_reference_leads_somewhere():
    schema = pipeline_schema()
    text = json.dumps(schema)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert references <= schema["$defs"].keys()
