"""No damage to a configuration or to an override ever produces anything but located problems."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.pipelines.config import ConfigProblems, Problem, load
from penstock.pipelines.config.marks import Source

VALID = """\
pipeline: digits
root: runs/${pipeline}
vars:
  epochs: 5
  model: &model {units: [64, 128], rate: 1.0e-3, "quoted": 'it''s'}
  label: ${env.LABEL:digit}
metadata: {sqlite: ${root}/metadata.sqlite}
beam:
  runner: direct
  options: {direct_num_workers: 1, experiments: [a, b]}
cache: true
steps:
  examples: {component: ImportExampleGen, with: {input_base: data/digits}}
  trainer:
    component: Trainer
    inputs: {examples: examples.examples, more: [a.b, c.d]}
    with:
      epochs: ${vars.epochs}
      hparams: *model
      note: |
        Trained on ${vars.label}.
      escaped: "\\u00e9 \\x41 $${kept}"
    cache: false
    after: [examples]
    enabled: true
"""
ENVIRON = {"LABEL": "hunter2-secret", "PATH": "/usr/bin"}
TOKENS = [
    *["${", "}", "${vars.", "${env.LABEL}", "${vars.model}", "$${", "${root}", "${vars.model.units.0}", "${env.NONE}"],
    *[
        "&model",
        "*model",
        "*other",
        "!!python/object:os.system",
        "!!bool",
        "!!int",
        "!x",
        "<<: *model",
        "? ",
        "%YAML 1.1\n",
    ],
    *[
        "---\n",
        "...\n",
        "\t",
        "  ",
        "\n",
        "- ",
        ": ",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        "|",
        ">",
        "#",
        "null",
        "~",
        "-_",
    ],
    *[
        "yes",
        "0x",
        "0b_",
        "1e999",
        ".nan",
        ".inf",
        "9" * 30,
        "2020-01-01",
        "extends: p.yaml\n",
        "extends: q.yaml\n",
        "=",
        "<<",
    ],
    *[
        "\\ud800",
        "\\U00110000",
        "\\x",
        "%41",
        "\u2028",
        "\x85",
        "\ufeff",
        "\x07",
        "é",
        "😀",
        "\U0010ff00",
        "._",
        "0o",
        "\r",
    ],
]
lines_of_text = VALID.splitlines(keepends=True)
positions = st.integers(min_value=0, max_value=len(VALID))
line_numbers = st.integers(min_value=0, max_value=len(lines_of_text) - 1)
words = sorted(set(VALID.replace("\n", " ").split()))


def _splice(text: str, at: int, new: str, cut: int = 0) -> str:
    return text[:at] + new + text[at + cut :]


def _change_lines(text: str, first: int, second: int, kind: str) -> str:
    lines = text.splitlines(keepends=True)
    first, second = min(first, len(lines) - 1), min(second, len(lines) - 1)
    if kind == "delete":
        del lines[first]
    elif kind == "duplicate":
        lines.insert(second, lines[first])
    elif kind == "swap":
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines[first] = "  " * (second % 5) + lines[first].lstrip()
    return "".join(lines) or "\n"


texts = st.one_of(
    st.sampled_from(TOKENS), st.sampled_from(words), st.text(max_size=8), st.text(string.punctuation, max_size=4)
)
insertions = st.builds(
    lambda at, new, cut: lambda text: _splice(text, at, new, cut), positions, texts, st.integers(0, 12)
)
line_changes = st.builds(
    lambda first, second, kind: lambda text: _change_lines(text, first, second, kind),
    line_numbers,
    line_numbers,
    st.sampled_from(["delete", "duplicate", "swap", "indent"]),
)
replacements = st.builds(
    lambda old, new: lambda text: text.replace(old, new),
    st.sampled_from(words),
    st.one_of(texts, st.sampled_from(words)),
)
mutations = st.lists(st.one_of(insertions, line_changes, replacements), min_size=1, max_size=4)
segments = st.one_of(
    st.sampled_from(
        ["steps", "trainer", "with", "epochs", "vars", "beam", "options", "0", "1", "metadata", "sqlite", "root", "x"]
    ),
    st.text(max_size=5),
)
overrides = st.builds(
    lambda path, value: ".".join(path) + "=" + value, st.lists(segments, min_size=1, max_size=5), texts
) | st.text(max_size=12)


def _mutated(changes: Sequence[Any]) -> str:
    text = VALID
    for change in changes:
        text = change(text)
    return text


def _check(file: Path, arguments: Sequence[str] = ()) -> None:
    """Load the file; problems must be located inside of it, be printable, and hold no value of the environment."""
    try:
        loaded = load(file, arguments, ENVIRON)
    except ConfigProblems as error:
        return _check_problems(error, file)
    assert loaded.config.steps
    assert Path(loaded.root).is_absolute() or "://" in loaded.root
    return None


def _check_problems(error: ConfigProblems, file: Path) -> None:
    assert error.problems
    assert len(set(error.problems)) == len(error.problems)
    for problem in error.problems:
        _check_place(problem, file)
    assert "hunter2" not in str(error) + str(error.to_dict())


def _check_place(problem: Problem, file: Path) -> None:
    mark = problem.mark
    assert problem.message
    assert "\n" not in problem.message
    if mark is None or mark.in_argument:
        return
    lines = Source("", file.read_bytes().decode("utf-8", errors="replace").removeprefix("\ufeff")).lines
    assert 1 <= mark.line <= len(lines)
    assert mark.source == lines[mark.line - 1]
    assert 1 <= mark.column <= len(mark.source) + 1
    assert mark.length >= 1


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutations") / "p.yaml"


def test_the_starting_point_is_valid(file: Path) -> None:
    file.write_text(VALID, encoding="utf-8")
    loaded = load(file, (), ENVIRON)
    assert loaded.config.steps["trainer"].with_["hparams"] == {"units": [64, 128], "rate": 0.001, "quoted": "it's"}
    assert loaded.config.steps["trainer"].with_["escaped"] == "é A ${kept}"


@given(mutations)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_text(file: Path, changes: Sequence[Any]) -> None:
    file.write_bytes(_mutated(changes).encode("utf-8", errors="surrogatepass"))
    _check(file)


@given(positions, st.binary(min_size=1, max_size=6), st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_damaged_bytes(file: Path, at: int, new: bytes, cut: int) -> None:
    data = VALID.encode("utf-8")
    file.write_bytes(data[:at] + new + data[at + cut :])
    _check(file)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", errors="surrogatepass")))
@settings(max_examples=80, deadline=None)
def test_noise(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    _check(file)


@given(st.lists(overrides, min_size=1, max_size=3))
@settings(max_examples=120, deadline=None)
def test_random_overrides(file: Path, arguments: list[str]) -> None:
    file.write_text(VALID, encoding="utf-8")
    _check(file, arguments)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = [
    *["pipeline", "root", "vars", "metadata", "beam", "cache", "steps", "steps.trainer", "vars.epochs", "vars.model"],
    *["metadata.sqlite", "beam.runner", "beam.options", "beam.options.experiments", "steps.trainer.component"],
    *["steps.trainer.inputs", "steps.trainer.inputs.examples", "steps.trainer.with", "steps.trainer.cache"],
    *["steps.trainer.after", "steps.trainer.after.0", "steps.trainer.enabled"],
]


@given(st.sampled_from(KEYS), values)
@settings(max_examples=150, deadline=None)
def test_values_of_other_types(file: Path, key: str, value: Any) -> None:
    file.write_text(VALID, encoding="utf-8")
    _check(file, [f"{key}={_yaml(value)}"])


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if value is None or value in (0, 1)
        else str(value)
    )
