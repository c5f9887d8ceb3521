"""No mutation of a valid pipeline file ever makes anything but a graph or located problems."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from penstock.pipelines.config import ConfigProblems
from penstock.pipelines.graph import Graph
from penstock.pipelines.resolve import check
from tests.conftest import REPOSITORY

SMALL = """\
pipeline: all
root: runs/all
vars: {epochs: 2, base: data}
metadata: {sqlite: "${root}/metadata.sqlite"}
beam: {runner: direct, options: {direct_num_workers: 1, experiments: [a, b]}}
cache: true
steps:
  rows: {component: CsvExampleGen, with: {input_base: "${vars.base}/wine"}}
  records: {component: ImportExampleGen, with: {input_base: data/digits, payload_format: FORMAT_TF_EXAMPLE}}
  known: {component: ImportSchemaGen, with: {schema_file: schema.pbtxt}}
  statistics: {component: StatisticsGen, inputs: {examples: rows.examples}, cache: false}
  schema: {component: SchemaGen, with: {infer_feature_shape: true}}
  validator: {component: ExampleValidator, inputs: {schema: schema.schema}, after: [known]}
  transform:
    component: Transform
    inputs: {examples: rows.examples, schema: schema.schema}
    with: {preprocessing_fn: examples.wine.preprocessing.preprocessing_fn, splits_config: {analyze: [train]}}
  tuner:
    component: Tuner
    inputs: {examples: rows.examples, schema: schema.schema}
    with: {tuner_fn: examples.wine.model.build_model, train_args: {num_steps: 3}, eval_args: {splits: [eval]}}
    enabled: false
  trainer:
    component: Trainer
    inputs: {examples: [rows.examples], schema: schema.schema}
    with:
      model_fn: examples.wine.model.build_model
      label: cultivar
      epochs: ${vars.epochs}
      strategy: mirrored
      hparams: {units: [8, 4], rate: 1.0e-3}
      input: {shuffle_buffer: 100, cache: memory}
  stock:
    component: tfx.components.Trainer
    inputs: {examples: transform.transformed_examples, schema: schema.schema}
    with: {run_fn: examples.digits.stock.run_fn, custom_config: {a: 1}}
  approved: {component: Resolver, with: {strategy: latest_blessed}}
  latest: {component: Resolver, with: {strategy: latest, artifacts: {model: Model}}}
  evaluator:
    component: Evaluator
    inputs: {examples: rows.examples, model: trainer.model, baseline_model: approved.model, schema: schema.schema}
    with:
      eval_config:
        model_specs: [{label_key: cultivar}]
        metrics_specs:
          - metrics: [{class_name: AUC, config: {name: auc}, threshold: {change_threshold: {absolute: 0.1}}}]
            thresholds: {auc: {value_threshold: {lower_bound: 0.5}}}
  inferrer:
    component: BulkInferrer
    inputs: {examples: records.examples, model: trainer.model}
    with: {data_spec: {example_splits: [eval]}, model_spec: {model_signature_name: [serving_default]}}
  pusher:
    component: Pusher
    inputs: {model: trainer.model}
    with: {destination: {directory: "${root}/${vars.epochs}"}, version: next}
"""
TEXTS = [SMALL, *((REPOSITORY / "configs" / name).read_text(encoding="utf-8") for name in ("digits.yaml", "wine.yaml"))]
LINES = [text.splitlines() for text in TEXTS]
SCALARS = [
    *["5", "-1", "0", "1.5", ".nan", ".inf", "9" * 30, "true", "null", "", "''", "five", "[]", "{}", "[1, {a: 2}]"],
    *["{a: [b]}", "[[]]", "{value: 0.5}", "${vars.epochs}", "${vars}", "${root}", "${nope}", "${env.NOPE}", "${", "}"],
    *[
        "'5'",
        "rows.examples",
        "pusher.pushed_model",
        "trainer",
        "Trainer",
        "Resolver",
        "tfx.components.Pusher",
        "gs://b",
    ],
    *[
        "examples.wine.model",
        "examples.wine.model.nope",
        "os.path.join",
        "..",
        "/",
        "data",
        "~",
        "*",
        "&a x",
        "*a",
        "!x",
    ],
    *["2020-01-01", "é", "\\", "[", "{", "a: b: c", "\t", "'", '"', "#", "a/../../b", "{name: 5}", "x" * 300, "%", "@"],
]
WORDS = [
    "with",
    "inputs",
    "component",
    "name",
    "steps",
    "vars",
    "model",
    "examples",
    "enabled",
    "after",
    "x",
    "5",
    "extends",
]
VALUES: list[Any] = [
    *[
        None,
        True,
        0,
        -1,
        5,
        10**18,
        2**64,
        1.5,
        "",
        " ",
        "x",
        "5",
        "x" * 300,
        "a\0b",
        "[",
        "**",
        "**x",
        "/",
        "../..",
        "é",
    ],
    *[
        "${vars.epochs}",
        "${vars}",
        "${root}",
        "${nope}",
        "${env.NOPE:5}",
        "gs://b/x",
        "tfx.components.Trainer",
        "Resolver",
    ],
    *[
        "examples.wine.model.build_model",
        "examples.wine.model",
        "os.sep",
        "json.dumps",
        "rows.examples",
        "trainer.model",
    ],
    *[[], {}, [None], [[]], [{}], {"a": 1}, {"value": 0.5}, {"": ""}, {"name": "mirrored", "devices": []}, ["a", 5]],
]
ARGUMENTS = [
    "steps.trainer.with.epochs",
    "steps.evaluator.with.eval_config",
    "steps.evaluator.with.eval_config.metrics_specs.0",
    "steps.examples.with.input_base",
    "steps.rows.component",
    "steps.pusher.inputs",
    "steps.trainer",
    "steps",
    "vars.epochs",
    "beam.runner",
    "root",
    "",
    "a..b",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").touch()
    (folder / "schema.pbtxt").touch()
    (folder / "data/wine").mkdir(parents=True)
    (folder / "data/wine/wine.csv").write_text("alcohol,color_band,cultivar\n13.2,red,1\n", encoding="utf-8")
    (folder / "data/digits").mkdir()
    for split in ("train", "eval"):
        (folder / f"data/digits/{split}-00000.gz").touch()
    shutil.copytree(REPOSITORY / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def outcome(project: Path, text: str, arguments: list[str]) -> Graph | ConfigProblems:
    (project / "p.yaml").write_text(text, encoding="utf-8")
    try:
        return check("p.yaml", arguments, {})[1]
    except ConfigProblems as problems:
        return problems


def assert_is_an_answer(result: Graph | ConfigProblems, text: str) -> None:
    if isinstance(result, Graph):
        assert result.steps
        return
    lines = text.splitlines()
    assert result.problems
    for problem in result.problems:
        assert problem.message.strip()
        assert "\n" not in problem.message
        assert problem.mark is not None, problem
        if not problem.mark.in_argument:
            assert problem.mark.file == "p.yaml"
            assert 1 <= problem.mark.line <= max(1, len(lines))
            assert 1 <= problem.mark.column <= len(problem.mark.source) + 1
    assert "Traceback" not in str(result)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a pipeline file with one to three mistakes in it."""
    lines = list(draw(st.sampled_from(LINES)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["value", "item", "key", "delete", "double", "swap", "indent", "insert", "cut"]))
        lines = _mutation(draw, lines, at, kind)
    return "\n".join(lines) + "\n"


def _mutation(draw: st.DrawFn, lines: list[str], at: int, kind: str) -> list[str]:
    line, scalar = lines[at], draw(st.sampled_from(SCALARS))
    places = [index for index, char in enumerate(line) if char in ":,[{ }]"]
    place = draw(st.sampled_from(places)) if places else 0
    end = next((index for index in places if index > place + 1), len(line))
    changed: dict[str, Any] = {
        "value": [line[: line.find(":") + 1] + " " + scalar],
        "item": [line[: place + 1] + scalar + line[end:]],
        "key": [line[: place + 1] + draw(st.sampled_from(WORDS)) + line[end:]],
        "delete": [],
        "double": [line, line],
        "indent": [draw(st.sampled_from([" ", "  ", "\t", "- "])) + line],
        "insert": [line, line[: len(line) - len(line.lstrip())] + draw(st.sampled_from(WORDS)) + ": " + scalar],
        "cut": [line[:place] + line[end:]],
    }
    if kind == "swap":
        other = draw(st.integers(0, len(lines) - 1))
        swapped = list(lines)
        swapped[at], swapped[other] = lines[other], lines[at]
        return swapped
    return [*lines[:at], *changed[kind], *lines[at + 1 :]] or ["x"]


@st.composite
def reshaped(draw: st.DrawFn) -> str:
    """Draw a pipeline file that is good YAML, with one to three values replaced, renamed, deleted or wrapped."""
    document = YAML(typ="safe", pure=True).load(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(_items(document))))
        value = holder[key]
        kind = draw(st.sampled_from(["replace", "replace", "wrap", "nest", "delete", "rename"]))
        if kind == "replace":
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif kind == "delete":
            del holder[key]
        elif kind == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(WORDS))] = holder.pop(key)
        else:
            holder[key] = [value] if kind == "wrap" else {draw(st.sampled_from(WORDS)): value}
        if not document:
            break
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every mapping or list below ``value`` with each of its keys or indexes."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _items(value[key])


arguments = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(ARGUMENTS),
        st.sampled_from(["=", "=", "=", ".x=", ""]),
        st.sampled_from(SCALARS),
    ),
    max_size=2,
)


@pytest.mark.parametrize("text", TEXTS, ids=["small", "digits", "wine"])
def test_the_unchanged_texts_are_valid(project: Path, text: str) -> None:
    assert isinstance(outcome(project, text, []), Graph)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=mutated(), overrides=arguments)
def test_damaged_text_makes_a_graph_or_located_problems(project: Path, text: str, overrides: list[str]) -> None:
    assert_is_an_answer(outcome(project, text, overrides), text)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=reshaped(), overrides=arguments)
def test_wrong_values_make_a_graph_or_located_problems(project: Path, text: str, overrides: list[str]) -> None:
    assert_is_an_answer(outcome(project, text, overrides), text)
