"""``penstock lineage``: trees, JSON, Mermaid, and served versions."""

from __future__ import annotations

import json

import pytest

from penstock.errors import ConfigError
from penstock.metadata.label_changes import LabelChange, record_change
from penstock.serving.manifest import MANIFEST, Manifest
from tests.metadata.history import two_runs
from tests.metadata.lineage import Lineage
from tests.pipelines.models.command import invoke
from tests.pipelines.models.pushed import configure, push

TREE = """\
digits/2, PushedModel 9  /s/2
├── made by
│   └── pusher, run run-2, execution 8
│       ├── model: Model 6  /digits/trainer/model/run-2
│       │   └── trainer, run run-2, execution 6
│       │       └── examples: Examples 1  /digits/examples/examples/run-1
│       │           └── examples, run run-1, execution 1, from /data
│       └── model_blessing: ModelBlessing 8  /digits/evaluator/blessing/run-2
│           └── evaluator, run run-2, execution 7
│               ├── examples: Examples 1  /digits/examples/examples/run-1
│               │   └── examples (see above)
│               └── model: Model 6  /digits/trainer/model/run-2
│                   └── trainer (see above)
└── used by
    ├── evaluator, run run-2, execution 7
    │   ├── blessing: ModelBlessing 8  /digits/evaluator/blessing/run-2
    │   └── evaluation: ModelEvaluation 7  /digits/evaluator/evaluation/run-2
    └── promote stable: 1 → 2, execution 9
"""


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return two_runs(tmp_path / "metadata.sqlite")


def printed(*args):
    answer = invoke("lineage", *args)
    assert answer.exit_code == 0, answer.exception
    return answer.output


def test_a_tree(history):
    record_change(history.file, LabelChange("promote", "digits", "stable", 1, 2, "/c"), 9)
    assert printed("digits/2") == TREE


def test_the_newest_run_where_nothing_is_named(history):
    assert printed() == printed("digits/2")
    history.pipeline = "wine"
    history.step("wine-1", "examples", {"examples": ("Examples", {})})
    assert printed("--up").splitlines()[0].startswith("Examples 10  ")


def test_one_way(history):
    assert printed("1", "--up") == (
        "Examples 1  /digits/examples/examples/run-1\n└── made by\n    └── examples, run run-1, execution 1, "
        "from /data\n"
    )
    down = printed("2", "--down")
    assert "made by" not in down
    assert down.splitlines()[1] == "└── used by"


def test_what_nothing_used(history):
    assert printed("7", "--down").endswith("└── used by nothing so far\n")


def test_what_came_from_outside(history):
    (outside,) = history.step("run-3", "importer", {"model": ("Model", {})}, state="CACHED")
    assert "made by nothing in the store: data or a model from outside" in printed(str(outside), "--up")


def test_what_failed_says_why(history):
    history.step("run-3", "trainer", {}, {"examples": [1]}, state="FAILED", penstock_reason="no memory\nat all")
    history.step("run-4", "trainer", {}, {"examples": [1]}, state="RUNNING")
    output = printed("1", "--down")
    assert "trainer, run run-3, execution 9, FAILED: no memory\n" in output
    assert "trainer, run run-4, execution 10, RUNNING\n" in output


def test_what_gc_removed(history):
    (artifact,) = history.store.get_artifacts_by_id([7])
    artifact.state = artifact.DELETED
    history.store.put_artifacts([artifact])
    line = "evaluation: ModelEvaluation 7  /digits/evaluator/evaluation/run-2"
    assert f"{line}, removed by gc\n" in printed("digits/2", "--down")
    assert f"  out  {line}, removed by gc\n" in invoke("runs", "show", "run-2").output
    assert [one["id"] for one in json.loads(printed("7", "--json"))["artifacts"] if one["deleted"]] == [7]


def test_json_and_mermaid(history):
    found = json.loads(printed("digits/1", "--format", "json"))
    assert (found["target"], found["same"], found["up"], found["down"]) == (5, [5, 2], [4, 3, 2, 1], [3])
    assert [artifact["id"] for artifact in found["artifacts"]] == [1, 2, 3, 4, 5]
    assert json.loads(printed("digits/1", "--json")) == found
    assert printed("digits/1", "--format", "mermaid").startswith('flowchart LR\n  a1["Examples 1"]\n')


def test_what_is_not_there(history):
    answer = invoke("lineage", "digits/3")
    assert isinstance(answer.exception, ConfigError)
    assert "next: did you mean digits/2, the newest version?" in str(answer.exception)
    answer = invoke("lineage", "digits/3", "--format", "json")
    assert (answer.exit_code, json.loads(answer.output)["error"]["cause"]) == (2, "config")


@pytest.fixture
def labelled(tmp_path, monkeypatch):
    """Version 1 of ``digits``, ``stable``, in a store that knows it; version 2, ``canary``, in none."""
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "serving" / "digits"
    push(base, 1, 2)
    configure(base, 1, 2, stable=1, canary=2)
    lineage = Lineage(tmp_path / "metadata.sqlite")
    told = {"model_name": "digits", "pushed_destination": str(base / "1")}
    lineage.push(1, Manifest.from_bytes((base / "1" / MANIFEST).read_bytes()).digest, **told)


def test_a_label(labelled):
    output = printed("digits@stable")
    assert output.startswith("digits/1, PushedModel 6  serving/digits/1\n├── made by\n│   └── pusher, run run1")
    assert "scores, run run1" in output


def test_a_label_in_the_root_of_a_store(labelled):
    assert printed("digits@stable", "--in", "metadata.sqlite") == printed("digits@stable")


def test_a_label_that_is_not_there(labelled):
    answer = invoke("lineage", "digits@stabel")
    assert "did you mean 'stable'?" in str(answer.exception)


def test_a_version_that_no_store_knows(labelled):
    answer = invoke("lineage", "digits@canary")
    assert isinstance(answer.exception, ConfigError)
    assert "no metadata store knows version 2 of digits" in str(answer.exception)
