"""A history as OpenLineage events."""

import json

import pytest

from penstock.metadata.openlineage import Naming, events, place_of
from penstock.metadata.scan import Scan
from tests.metadata.openlineage_spec import problems
from tests.metadata.run_files import History, whole_run

COMMIT = "40c24b13294c13ceb35f7dd22a673390bbf7080e"


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "root")


def told(history, **naming):
    found = list(events(Scan(history.sqlite, "digits"), Naming(**naming)))
    assert [problem for event in found for problem in problems(event)] == []
    return found


def of(found, job):
    return [event for event in found if event["job"]["name"] == job]


def test_every_run_and_step_starts_and_ends(history):
    whole_run(history, "r1", version=1)
    found = told(history, namespace="team")
    assert [event["eventType"] for event in found] == ["START", *["START", "COMPLETE"] * 6, "COMPLETE"]
    assert {event["job"]["namespace"] for event in found} == {"team"}
    assert [event["eventType"] for event in of(found, "digits")] == ["START", "COMPLETE"]
    start, end = of(found, "digits.trainer")
    assert start["run"]["runId"] == end["run"]["runId"]
    parent = end["run"]["facets"]["parent"]
    assert parent["run"]["runId"] == found[0]["run"]["runId"]
    assert parent["job"] == {"namespace": "team", "name": "digits"}


def test_inputs_and_outputs_are_datasets(history):
    whole_run(history, "r1")
    start, end = of(told(history), "digits.trainer")
    assert [one["name"] for one in end["inputs"]] == [
        f"{history.root}/examples/examples/1",
        f"{history.root}/schema/schema/3",
    ]
    assert start["outputs"] == []
    assert [one["facets"]["penstock_artifact"]["type"] for one in end["outputs"]] == ["Model", "ModelRun"]
    assert {one["namespace"] for one in (*end["inputs"], *end["outputs"])} == {"file"}


def test_the_schema_of_the_examples_is_told_once_it_is_known(history):
    whole_run(history, "r1")
    schema = 'feature { name: "image" type: FLOAT }\nfeature { name: "label" type: INT }\n'
    (history.root / "schema" / "schema" / "3" / "schema.pbtxt").write_text(schema, encoding="utf-8")
    found = told(history)
    (examples,) = of(found, "digits.statistics")[1]["inputs"]
    assert "schema" not in examples["facets"]
    examples = of(found, "digits.trainer")[1]["inputs"][0]
    assert examples["facets"]["schema"]["fields"] == [
        {"name": "image", "type": "FLOAT"},
        {"name": "label", "type": "INT"},
    ]


def test_a_failed_step_says_why_and_fails_its_run(history):
    history.step("r1", "examples", state="FAILED", penstock_reason="its process ended with exit code -9")
    history.step("r2", "examples", state="FAILED", __execution_result__=json.dumps({"resultMessage": "no space"}))
    history.step("r3", "examples", state="FAILED")
    history.step("r4", "examples", state="CANCELED")
    found = told(history)
    ends = [event for event in of(found, "digits.examples") if event["eventType"] != "START"]
    messages = [event["run"]["facets"].get("errorMessage", {}).get("message") for event in ends]
    assert messages == [
        "its process ended with exit code -9",
        "no space",
        "the store does not say why; see the run's log",
        None,
    ]
    assert [event["eventType"] for event in of(found, "digits")] == ["START"] * 4 + ["FAIL"] * 3 + ["ABORT"]


def test_what_still_runs_has_no_end(history):
    history.step("r1", "examples", state="RUNNING")
    assert [event["eventType"] for event in told(history)] == ["START", "START"]


def test_cached_steps_say_so(history):
    ids = whole_run(history, "r1")
    history.cached("r2", "trainer", {"model": [ids["model"]]})
    cached = [event["run"]["facets"]["penstock_execution"]["cached"] for event in of(told(history), "digits.trainer")]
    assert cached == [False, False, True, True]


def test_code_versions_and_rows(history):
    whole_run(history, "r1", commit=COMMIT, config_file="configs/digits.yaml", tfx_version="1.21.0")
    plain = of(told(history), "digits.scores")[1]
    location = plain["job"]["facets"]["sourceCodeLocation"]
    assert (location["url"], location["version"], location["path"]) == (
        f"urn:git:{COMMIT}",
        COMMIT,
        "configs/digits.yaml",
    )
    assert plain["run"]["facets"]["processing_engine"]["version"] == "1.21.0"
    assert plain["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 9
    known = of(told(history, repository="https://git.example/digits/"), "digits.scores")[1]
    location = known["job"]["facets"]["sourceCodeLocation"]
    assert location["url"] == f"https://git.example/digits/tree/{COMMIT}"
    assert location["repoUrl"] == "https://git.example/digits"


def test_ids_are_the_same_each_time_and_differ_between_runs(history):
    whole_run(history, "r1")
    whole_run(history, "r2")
    ids = [event["run"]["runId"] for event in told(history)]
    assert ids == [event["run"]["runId"] for event in told(history)]
    assert len(set(ids)) == 12


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("/data/x/1", ("file", "/data/x/1")),
        ("gs://bucket/a/b", ("gs://bucket", "a/b")),
        ("s3://bucket", ("s3://bucket", "/")),
        ("", ("file", "/")),
    ],
)
def test_places(uri, place):
    assert place_of(uri) == place
