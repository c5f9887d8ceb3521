"""The vocabulary names what the components and the runner write, and docs/metadata.md shows it."""

from __future__ import annotations

import re

from penstock.metadata import vocabulary
from penstock.metadata.vocabulary import PROPERTIES, names, table
from tests.conftest import REPOSITORY

QUOTED = re.compile(r"`(\w+)`")


def told(owner):
    """All names that the rows of an owner mention."""
    rows = [entry for entry in PROPERTIES if entry.owner == owner]
    return {entry.name for entry in rows} | {name for entry in rows for name in QUOTED.findall(entry.meaning)}


def test_every_property_has_one_row():
    rows = [(entry.owner, entry.name) for entry in PROPERTIES if (entry.owner, entry.name) != ("execution", "config")]
    assert len(rows) == len(set(rows))


def test_the_facts_of_a_run(project):
    from penstock.pipelines.config import load
    from penstock.pipelines.resolve import resolve
    from penstock.pipelines.runners.facts import run_facts

    project.write("data/rows.csv", "x,label\n1,0\n")
    loaded = load(project.pipeline("  examples: {component: CsvExampleGen, with: {input_base: data}}\n"))
    written = {name for name in run_facts(loaded, resolve(loaded)) if not name.endswith("_version")}
    assert written | {"commit", "dirty", "penstock_version"} == names("run")


def test_what_the_pusher_writes():
    source = (REPOSITORY / "components/pusher/executor.py").read_text(encoding="utf-8")
    assert set(re.findall(r'set_\w+_custom_property\("(\w+)"', source)) <= told("PushedModel")


def test_what_batch_inference_writes():
    source = (REPOSITORY / "components/batch_inference/executor.py").read_text(encoding="utf-8")
    assert set(re.findall(r'predictions\.set_\w+_custom_property\("(\w+)"', source)) <= told("InferenceResult")


def test_what_the_trainer_writes():
    source = (REPOSITORY / "components/trainer/report.py").read_text(encoding="utf-8")
    (facts,) = re.findall(r"facts: dict\[str, str \| int \| float \| None\] = \{(.*?)\n    \}", source, flags=re.DOTALL)
    assert set(re.findall(r'"(\w+)": ', facts)) <= told("Model")


def test_what_the_tflite_converter_writes():
    source = (REPOSITORY / "components/artifacts.py").read_text(encoding="utf-8")
    assert set(re.findall(r'"(\w+)": _', source)) <= told("TFLiteModel")


def test_what_a_change_of_a_label_writes():
    from penstock.metadata.label_changes import LabelChange

    assert set(LabelChange.__dataclass_fields__) - {"time"} <= told("LabelChange")


def test_the_table():
    lines = table().splitlines()
    assert len(lines) == len(PROPERTIES) + 2
    assert lines[2] == "| run | `pipeline` | text | name of the pipeline | runner |"
    assert {line.count("|") for line in lines} == {6}


def test_the_documentation_shows_the_table_as_it_is():
    page = (REPOSITORY / "docs" / "metadata.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- metadata/vocabulary.py -->\n(.*?)\n\n", page, flags=re.DOTALL)
    assert shown == [table()]


def test_findings_are_properties_of_executions():
    assert set(vocabulary.FINDINGS) <= names("execution")
