"""What the runner records of a run and of an evaluation."""

from __future__ import annotations

import hashlib
import json

import pytest

from penstock.pipelines.config import load
from penstock.pipelines.resolve import resolve
from penstock.pipelines.runners import facts
from penstock.pipelines.runners.facts import code_of, library_versions, record_evaluation, record_run, run_facts
from tests.metadata.history import History

STEPS = """\
  examples: {component: CsvExampleGen, with: {input_base: data}}
  trainer:
    component: Trainer
    with: {model_fn: model.build_model, label: label, hparams: {key: "${env.KEY}", units: "${vars.units}"}}
    inputs: {examples: examples.examples}
    enabled: true
"""
TOP = "pipeline: p\nroot: runs\nvars: {units: 3}\nmetadata: {sqlite: '${env.PLACE}/m.sqlite'}\n"


@pytest.fixture
def loaded(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("model.py", "import layers\ndef build_model(context): ...\n")
    project.write("layers.py", "")
    steps = "  statistics: {component: StatisticsGen}\n  schema: {component: SchemaGen}\n"
    file = project.pipeline(STEPS.replace("  trainer:", f"{steps}  trainer:"), top=TOP)
    return load(file, environ={"KEY": "hunter2", "PLACE": "/secret-place"})


def test_a_run_is_what_its_config_and_code_are(loaded, project):
    graph = resolve(loaded)
    found = run_facts(loaded, graph)
    config = json.loads(str(found["config"]))
    assert config["steps"]["trainer"]["with"]["hparams"]["units"] == 3
    assert found["config_digest"] == hashlib.sha256(str(found["config"]).encode()).hexdigest()
    assert (found["pipeline"], found["config_file"]) == ("p", "p.yaml")
    assert json.loads(str(found["steps"])) == ["examples", "statistics", "schema", "trainer"]
    digests = {
        name: hashlib.sha256((project.folder / f"{name}.py").read_bytes()).hexdigest() for name in ("model", "layers")
    }
    assert code_of(graph) == {"trainer": digests}
    assert json.loads(str(found["code"])) == {"trainer": digests}
    assert "commit" not in found


def test_what_comes_from_the_environment_is_not_recorded(loaded):
    found = str(run_facts(loaded, resolve(loaded)))
    assert "hunter2" not in found
    assert "secret-place" not in found
    assert "(from the environment variable KEY)" in found


def test_versions():
    found = library_versions()
    assert {"penstock", "python", "tfx", "tensorflow", "ml_metadata", "apache_beam"} <= found.keys()
    assert found["tensorflow"].startswith("2.")


def test_the_facts_are_properties_of_the_runs_context(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "run_facts", lambda loaded, graph: {"commit": "abc", "dirty": 1})
    history = History(tmp_path / "m.sqlite", "p")
    record_run(history.store, loaded, resolve(loaded), "run-1")
    history.step("run-1", "examples")
    record_run(history.store, loaded, resolve(loaded), "run-1")
    (context,) = history.store.get_contexts_by_type("pipeline_run")
    assert (context.name, context.custom_properties["commit"].string_value) == ("run-1", "abc")
    assert context.custom_properties["dirty"].int_value == 1
    assert len(history.store.get_executions_by_context(context.id)) == 1


def evaluated(history, state="COMPLETE", component="tfx.components.evaluator.component.Evaluator"):
    outputs = {"evaluation": ("ModelEvaluation", {"uri": "/e"}), "blessing": ("ModelBlessing", {"blessed": 0})}
    history.step("run", "evaluator", outputs, state=state, component=component)
    (execution,) = history.store.get_executions()
    return execution


def properties(history):
    (execution,) = history.store.get_executions()
    return {name: value.string_value for name, value in execution.custom_properties.items()}


@pytest.mark.parametrize(
    "changes", [{"state": "CACHED"}, {"state": "FAILED"}, {"component": "x.Trainer"}, {"component": "my.MyEvaluator"}]
)
def test_only_an_evaluator_that_has_just_ended_well_is_looked_at(tmp_path, changes):
    history = History(tmp_path / "m.sqlite")
    record_evaluation(history.store, "evaluator", evaluated(history, **changes))
    assert properties(history) == {}


def test_an_evaluation_that_cannot_be_read_fails_nothing(tmp_path, caplog, monkeypatch):
    def broken(store, step, execution):
        raise OSError("no such file")

    monkeypatch.setattr(facts, "_evaluation", broken)
    history = History(tmp_path / "m.sqlite")
    record_evaluation(history.store, "evaluator", evaluated(history))
    assert properties(history) == {}
    assert "the metrics of evaluator are not recorded in ML Metadata: no such file" in caplog.text


def test_metrics_and_reasons_become_properties_of_the_execution(tmp_path, monkeypatch):
    found = [("metrics", '{"overall": {"accuracy": 0.5}}'), ("reason", "accuracy on overall: 0.5")]
    monkeypatch.setattr(facts, "_evaluation", lambda store, step, execution: found)
    history = History(tmp_path / "m.sqlite")
    execution = evaluated(history)
    record_evaluation(history.store, "evaluator", execution)
    assert properties(history) == dict(found)
    (kept,) = history.store.get_executions()
    assert (kept.last_known_state, kept.type) == (execution.last_known_state, execution.type)
