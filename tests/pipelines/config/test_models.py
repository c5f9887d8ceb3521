"""The typed configuration, and what is said about wrong keys and types."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from penstock.pipelines.config import BeamConfig, MetadataConfig, PipelineConfig, StepConfig
from penstock.pipelines.config.base import RULES
from tests.pipelines.config.conftest import Project

WITH: dict[str, Any] = {"with": {"epochs": 1, "anything": {"goes": ["here", None]}}}
"""Under the name that a file uses, which Python reserves."""

FULL = """\
pipeline: digits-2_b
root: runs/digits
vars: {epochs: 5}
metadata: {sqlite: other/m.sqlite}
beam: {runner: flink, options: {parallelism: 2, experiments: [a, b], rate: .inf, on: true}}
cache: false
steps:
  second_step:
    component: Trainer
    inputs: {examples: first.out, more: [a.b, c.d_e]}
    with: {epochs: 1, anything: {goes: [here, null]}}
    cache: true
    after: [first]
    enabled: false
  first: {component: my.module.Component}
"""


def test_everything_at_once(project: Project) -> None:
    config = project.load(FULL).config
    assert config == PipelineConfig(
        pipeline="digits-2_b",
        root="runs/digits",
        vars={"epochs": 5},
        metadata=MetadataConfig(sqlite="other/m.sqlite"),
        beam=BeamConfig(
            runner="flink",
            options={"parallelism": 2, "experiments": ("a", "b"), "rate": float("inf"), "on": True},
        ),
        cache=False,
        steps={
            "second_step": StepConfig(
                component="Trainer",
                inputs={"examples": "first.out", "more": ("a.b", "c.d_e")},
                **WITH,
                cache=True,
                after=("first",),
                enabled=False,
            ),
            "first": StepConfig(component="my.module.Component"),
        },
    )
    assert list(config.steps) == ["second_step", "first"]


def test_defaults(project: Project) -> None:
    loaded = project.load(Project.HEAD + Project.STEPS)
    config = loaded.config
    assert (config.cache, config.beam.runner, config.beam.options, config.vars) == (True, "direct", {}, {})
    assert config.metadata.sqlite == "runs/digits/metadata.sqlite"
    step = config.steps["trainer"]
    assert (step.inputs, step.with_, step.cache, step.after, step.enabled) == ({}, {}, None, (), True)


def test_configurations_are_frozen(project: Project) -> None:
    config = project.load(Project.HEAD + Project.STEPS).config
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, "root", "x")  # noqa: B010 - mypy knows that it is read-only


@pytest.mark.parametrize("model", [PipelineConfig, StepConfig, MetadataConfig, BeamConfig])
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert all(field.description for field in model.model_fields.values())


def test_every_pattern_has_a_rule() -> None:
    schema = str(PipelineConfig.model_json_schema())
    assert all(repr(pattern)[1:-1] in schema or pattern in schema for pattern in RULES)


STEP = "steps:\n  trainer:\n    component: Trainer\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            Project.HEAD + STEP + "    cach: true\n",
            (
                "p.yaml:6:5: unknown key 'cach' in steps.trainer\n"
                "    6 |     cach: true\n"
                "      |     ^^^^\n"
                "      expected: one of after, cache, component, enabled, inputs, resources, with\n"
                "      next: did you mean 'cache'?"
            ),
        ),
        (
            Project.HEAD + STEP + "    wiht: {}\n",
            (
                "p.yaml:6:5: unknown key 'wiht' in steps.trainer\n"
                "    6 |     wiht: {}\n"
                "      |     ^^^^\n"
                "      expected: one of after, cache, component, enabled, inputs, resources, with\n"
                "      next: did you mean 'with'?"
            ),
        ),
        (
            Project.HEAD + STEP + "    input_base: data\n",
            (
                "p.yaml:6:5: unknown key 'input_base' in steps.trainer\n"
                "    6 |     input_base: data\n"
                "      |     ^^^^^^^^^^\n"
                "      expected: one of after, cache, component, enabled, inputs, resources, with\n"
                "      next: write with: {input_base: …}, if it is a parameter of the component"
            ),
        ),
        (
            Project.HEAD + Project.STEPS + "nothing_like_it: 1\n",
            (
                "p.yaml:4:1: unknown key 'nothing_like_it'\n"
                "    4 | nothing_like_it: 1\n"
                "      | ^^^^^^^^^^^^^^^\n"
                "      expected: one of beam, cache, extends, kubeflow, metadata, pipeline, root, steps, vars"
            ),
        ),
        (
            Project.HEAD + "steps:\n  trainer:\n    cache: true\n",
            (
                "p.yaml:4:3: missing required key 'component' in steps.trainer\n"
                "    4 |   trainer:\n"
                "      |   ^^^^^^^\n"
                "      expected: A built-in component's name, or the import path of any TFX component."
            ),
        ),
        (
            "root: x\n" + Project.STEPS,
            (
                "p.yaml:1:1: missing required key 'pipeline'\n"
                "    1 | root: x\n"
                "      | ^\n"
                "      expected: The pipeline's name."
            ),
        ),
        (
            Project.HEAD + "steps:\n  trainer:\n    componnt: Trainer\n",
            (
                "p.yaml:5:5: unknown key 'componnt' in steps.trainer\n"
                "    5 |     componnt: Trainer\n"
                "      |     ^^^^^^^^\n"
                "      expected: one of after, cache, component, enabled, inputs, resources, with\n"
                "      next: did you mean 'component'?"
            ),
        ),
        (
            Project.HEAD + STEP + "    cache: yes\n",
            (
                "p.yaml:6:12: expected true or false, received the text 'yes' at steps.trainer.cache\n"
                "    6 |     cache: yes\n"
                "      |            ^^^\n"
                "      next: write true or false"
            ),
        ),
        (
            Project.HEAD + STEP + "    enabled: 'true'\n",
            (
                "p.yaml:6:14: expected true or false, received the text 'true' at steps.trainer.enabled\n"
                "    6 |     enabled: 'true'\n"
                "      |              ^^^^^^\n"
                "      next: remove the quotes"
            ),
        ),
        (
            Project.HEAD + STEP + "    after: evaluator\n",
            (
                "p.yaml:6:12: expected a list, received the text 'evaluator' at steps.trainer.after\n"
                "    6 |     after: evaluator\n"
                "      |            ^^^^^^^^^\n"
                "      next: write [evaluator]"
            ),
        ),
        (
            Project.HEAD + "steps:\n  trainer:\n",
            (
                "p.yaml:4:3: expected a mapping, received nothing at steps.trainer\n"
                "    4 |   trainer:\n"
                "      |   ^^^^^^^\n"
                "      next: its keys are component, inputs, with, cache, after, enabled, resources"
            ),
        ),
        (
            Project.HEAD + "steps: {}\n",
            "p.yaml:3:8: expected at least 1 item, received 0 items at steps\n    3 | steps: {}\n      |        ^^",
        ),
        (
            Project.HEAD + "steps: {trainer: {component: ''}}\n",
            (
                "p.yaml:3:30: expected text that is not empty, received the text '' at steps.trainer.component\n"
                "    3 | steps: {trainer: {component: ''}}\n"
                "      |                              ^^"
            ),
        ),
        (
            "pipeline: Digits\nroot: x\n" + Project.STEPS,
            (
                "p.yaml:1:11: expected a name of lower-case letters, digits, '_' and '-' that begins with a letter, 63 "
                "characters at most, received the text 'Digits' at pipeline\n"
                "    1 | pipeline: Digits\n"
                "      |           ^^^^^^\n"
                "      next: write digits"
            ),
        ),
        (
            Project.HEAD + "steps:\n  my-step: {component: Trainer}\n",
            (
                "p.yaml:4:3: the key 'my-step' in steps must be a name of lower-case letters, digits and '_' that "
                "begins with a letter, 63 characters at most\n"
                "    4 |   my-step: {component: Trainer}\n"
                "      |   ^^^^^^^\n"
                "      next: write my_step"
            ),
        ),
        (
            Project.HEAD + STEP + "    inputs: {examples: transform}\n",
            (
                "p.yaml:6:24: expected a step and its output, such as 'transform.transformed_examples', received "
                "the text 'transform' at steps.trainer.inputs.examples\n"
                "    6 |     inputs: {examples: transform}\n"
                "      |                        ^^^^^^^^^"
            ),
        ),
        (
            Project.HEAD + STEP + "    inputs: {examples: [a.b, 5]}\n",
            (
                "p.yaml:6:30: expected text, received the integer 5 at steps.trainer.inputs.examples.1\n"
                "    6 |     inputs: {examples: [a.b, 5]}\n"
                "      |                              ^\n"
                "      next: put it in quotes"
            ),
        ),
        (
            Project.HEAD + STEP + "    inputs: {examples: 5}\n",
            (
                "p.yaml:6:24: expected text or a list, received the integer 5 at steps.trainer.inputs.examples\n"
                "    6 |     inputs: {examples: 5}\n"
                "      |                        ^"
            ),
        ),
        (
            Project.HEAD + Project.STEPS + "beam: {options: {x: {}}}\n",
            (
                "p.yaml:4:21: expected text, an integer, a number, true or false or a list, received a mapping at "
                "beam.options.x\n"
                "    4 | beam: {options: {x: {}}}\n"
                "      |                     ^^"
            ),
        ),
        (
            # A union inside a union makes one problem too.
            Project.HEAD + Project.STEPS + "beam: {options: {x: [1, {}]}}\n",
            (
                "p.yaml:4:25: expected text, an integer, a number or true or false, received a mapping at "
                "beam.options.x.1\n"
                "    4 | beam: {options: {x: [1, {}]}}\n"
                "      |                         ^^"
            ),
        ),
        (
            Project.HEAD + "steps: {trainer: Trainer}\n",
            (
                "p.yaml:3:18: expected a mapping, received the text 'Trainer' at steps.trainer\n"
                "    3 | steps: {trainer: Trainer}\n"
                "      |                  ^^^^^^^\n"
                "      next: write {component: Trainer}"
            ),
        ),
        (
            Project.HEAD + "steps:\n  - {component: Trainer}\n",
            (
                "p.yaml:4:3: expected a mapping, received a list at steps\n"
                "    4 |   - {component: Trainer}\n"
                "      |   ^^^^^^^^^^^^^^^^^^^^^^\n"
                "      next: write 'key: value' pairs"
            ),
        ),
        (
            Project.HEAD + Project.STEPS + "beam: {options: {--runner: x}}\n",
            (
                "p.yaml:4:18: the key '--runner' in beam.options must be a flag without its leading dashes, such as "
                "'direct_num_workers'\n"
                "    4 | beam: {options: {--runner: x}}\n"
                "      |                  ^^^^^^^^"
            ),
        ),
        (
            Project.HEAD + Project.STEPS + "metadata: {oracle: {host: x}}\n",
            (
                "p.yaml:4:12: unknown key 'oracle' in metadata\n"
                "    4 | metadata: {oracle: {host: x}}\n"
                "      |            ^^^^^^\n"
                "      expected: one of mysql, postgresql, sqlite"
            ),
        ),
    ],
)
def test_wrong_keys_and_types(project: Project, text: str, shown: str) -> None:
    assert project.shown(text) == shown


def test_all_problems_come_together(project: Project) -> None:
    text = "pipeline: 5\nroot: ${vars.none}\nsteps:\n  a: {component: A, cache: 1}\n  b: {}\n  b: {component: B}\n"
    assert [problem.message for problem in project.refused(text, "c.d=1").problems] == [
        "no key 'c' at the top level",
        "expected text, received the integer 5 at pipeline",
        "undefined name '${vars.none}'",
        "expected true or false, received the integer 1 at steps.a.cache",
        "missing required key 'component' in steps.b",
        "duplicate key 'b' (first at line 5)",
    ]


def test_received_and_expected_stay_available(project: Project) -> None:
    problem = project.only(Project.HEAD + STEP + "    cache: 5\n")
    assert (problem.received, problem.expected) == ("the integer 5", "true or false")
