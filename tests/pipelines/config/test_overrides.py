"""``--set path=value``."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.pipelines.config.models import ServerConfig
from tests.pipelines.config.conftest import Project

TEXT = """\
pipeline: digits
root: runs/digits
vars: {epochs: 5, items: [1, {a: 2}]}
steps:
  trainer:
    component: Trainer
    with: {epochs: "${vars.epochs}", hparams: {units: 128}}
  pusher: {component: Pusher}
"""


@pytest.mark.parametrize(
    ("argument", "path", "value"),
    [
        ("steps.trainer.with.epochs=1", ("steps", "trainer", "with", "epochs"), 1),
        ("steps.trainer.with.epochs='1'", ("steps", "trainer", "with", "epochs"), "1"),
        ("steps.trainer.with.epochs=a=b", ("steps", "trainer", "with", "epochs"), "a=b"),
        ("steps.trainer.with.epochs=", ("steps", "trainer", "with", "epochs"), None),
        ("steps.trainer.with.new={a: [1, ${vars.epochs}]}", ("steps", "trainer", "with", "new"), {"a": [1, 5]}),
        ("steps.pusher.with.new=1", ("steps", "pusher", "with", "new"), 1),
        ("steps.pusher.cache=false", ("steps", "pusher", "cache"), False),
        ("steps.trainer.with.hparams.units=8", ("steps", "trainer", "with", "hparams", "units"), 8),
        ("vars.epochs=9", ("steps", "trainer", "with", "epochs"), 9),
        ("vars.items.1.a=3", ("vars", "items"), [1, {"a": 3}]),
        ("vars.items.0=3", ("vars", "items"), [3, {"a": 2}]),
        ("beam.runner=flink", ("beam", "runner"), "flink"),
        ("metadata.sqlite=/tmp/m.sqlite", ("metadata", "sqlite"), "/tmp/m.sqlite"),
        ("beam.options.direct_num_workers=2", ("beam", "options"), {"direct_num_workers": 2}),
        ("metadata.mysql={host: h, database: d, user: u}", ("metadata", "mysql", "host"), "h"),
        (
            "steps.pusher.with.destination.directory=out",
            ("steps", "pusher", "with"),
            {"destination": {"directory": "out"}},
        ),
        ("steps.pusher.with.a.b.c.d=1", ("steps", "pusher", "with"), {"a": {"b": {"c": {"d": 1}}}}),
        ("steps.trainer.with.hparams.dropout=1", ("steps", "trainer", "with", "hparams"), {"units": 128, "dropout": 1}),
        ("steps.trainer.inputs.examples=a.b", ("steps", "trainer", "inputs"), {"examples": "a.b"}),
        ("steps.trainer.resources.cpu='2'", ("steps", "trainer", "resources"), {"cpu": "2"}),
        ("cache=false", ("cache",), False),
        ("root=runs/${pipeline}", ("metadata", "sqlite"), "runs/digits/metadata.sqlite"),
    ],
)
def test_values(project: Project, argument: str, path: tuple[str, ...], value: Any) -> None:
    found = project.load(TEXT, argument).document.value(path)
    assert found == value
    assert type(found) is type(value)


def test_later_ones_win(project: Project) -> None:
    assert project.load(TEXT, "cache=true", "cache=false").config.cache is False
    assert project.load(TEXT, "steps.trainer.with={a: 1}", "steps.trainer.with.a=2").config.steps["trainer"].with_ == {
        "a": 2
    }


def test_several_make_one_mapping(project: Project) -> None:
    parts = (f"metadata.postgresql.{part}" for part in ("host=db", "database=d", "user=u"))
    loaded = project.load(TEXT, *parts)
    assert loaded.config.metadata.postgresql == ServerConfig(host="db", database="d", user="u")
    assert project.load(TEXT, "beam.options.a=1", "beam.options.b=2").config.beam.options == {"a": 1, "b": 2}


def test_a_wrong_key_of_a_mapping_that_was_made_is_refused_with_the_right_ones(project: Project) -> None:
    found = project.shown(TEXT, "steps.pusher.resources.cpus='2'")
    assert found.startswith("--set steps.pusher.resources.cpus: unknown key 'cpus' in steps.pusher.resources\n")
    assert found.endswith("next: did you mean 'cpu'?")


def test_a_mapping_that_the_file_lacks_at_the_top(project: Project) -> None:
    text = "pipeline: p\nroot: r\nsteps: {a: {component: A, with: {b: '${vars.c}'}}}\n"
    assert project.load(text, "vars.c=1").config.steps["a"].with_ == {"b": 1}


def test_they_come_after_merging(project: Project) -> None:
    project.write("base.yaml", TEXT)
    assert project.load("extends: base.yaml\n", "vars.epochs=7").config.vars["epochs"] == 7


EXPECTED = "path.to.key=value, for example steps.trainer.with.epochs=1"


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        (
            "cache",
            f"--set cache: an override needs '=' and a value\n      received: 'cache'\n      expected: {EXPECTED}",
        ),
        (
            "a..b=1",
            (
                "--set a..b: an override needs keys between its dots\n"
                f"      received: 'a..b=1'\n      expected: {EXPECTED}"
            ),
        ),
        ("=1", f"--set : an override needs keys between its dots\n      received: '=1'\n      expected: {EXPECTED}"),
        (
            "steps.traner.with.epochs=1",
            (
                "--set steps.traner.with.epochs: no key 'traner' in steps\n"
                "      expected: one of pusher, trainer\n"
                "      next: did you mean 'trainer'?"
            ),
        ),
        (
            "vars.epoch=1",
            (
                "--set vars.epoch: no key 'epoch' in vars\n"
                "      expected: one of epochs, items\n"
                "      next: did you mean 'epochs'?"
            ),
        ),
        ("steps.new={component: A}", "--set steps.new: no key 'new' in steps\n      expected: one of pusher, trainer"),
        (
            "steps.trainer.with.hparams.unit=1",
            (
                "--set steps.trainer.with.hparams.unit: no key 'unit' in steps.trainer.with.hparams\n"
                "      expected: one of units\n"
                "      next: did you mean 'units'?"
            ),
        ),
        (
            "beam.option.x=1",
            (
                "--set beam.option.x: no key 'option' in beam\n"
                "      expected: one of job_server_jar, options, runner\n"
                "      next: did you mean 'options'?"
            ),
        ),
        (
            "stepz.a=1",
            (
                "--set stepz.a: no key 'stepz' at the top level\n"
                "      expected: one of beam, cache, extends, kubeflow, metadata, pipeline, root, steps, vars\n"
                "      next: did you mean 'steps'?"
            ),
        ),
        (
            "cache.a=1",
            "--set cache.a: cache is no mapping, it holds no 'a'\n      next: set cache itself",
        ),
        (
            "beam.options.x.y=1",
            (
                "--set beam.options.x.y: beam.options.x is no mapping, it holds no 'y'\n"
                "      next: set beam.options.x itself"
            ),
        ),
        (
            "root.a=1",
            "--set root.a: root is text, it holds no 'a'\n      next: set root itself",
        ),
        ("vars.items.2=1", "--set vars.items.2: no item '2' in vars.items\n      expected: an index from 0 to 1"),
        ("vars.items.-1=1", "--set vars.items.-1: no item '-1' in vars.items\n      expected: an index from 0 to 1"),
        (
            "extends=a.yaml",
            "--set extends: 'extends' can only be set in a file\n      next: make a file that extends this one",
        ),
        ("cache=[1", "--set cache: not valid YAML: this '[' is not closed\n      next: add the missing ']' or ','"),
        ("cache=maybe", "--set cache: expected true or false, received the text 'maybe' at cache"),
        (
            "caches=true",
            (
                "--set caches: unknown key 'caches'\n"
                "      expected: one of beam, cache, extends, kubeflow, metadata, pipeline, root, steps, vars\n"
                "      next: did you mean 'cache'?"
            ),
        ),
        (
            "vars.epochs={a: 1, a: 2}",
            "--set vars.epochs: duplicate key 'a' (first at line 1)\n      next: keep one of them",
        ),
        ("vars.epochs=${vars.none}", None),
    ],
)
def test_problems(project: Project, argument: str, shown: str | None) -> None:
    found = project.shown(TEXT, argument)
    if shown is None:
        assert found.startswith("--set vars.epochs: undefined name '${vars.none}'\n")
    else:
        assert found == shown


def test_all_problems_come_together(project: Project) -> None:
    error = project.refused(TEXT + "foo: 1\n", "a.b=1", "cache=maybe")
    assert [problem.message for problem in error.problems] == [
        "no key 'a' at the top level",
        "expected true or false, received the text 'maybe' at cache",
        "unknown key 'foo'",
    ]


def test_control_characters_in_a_path_do_not_reach_the_terminal(project: Project) -> None:
    assert project.shown(TEXT, "a\x1b\nb.c=1").startswith("--set a\\x1b\\nb.c: no key 'a\\x1b\\nb' at the top level\n")
