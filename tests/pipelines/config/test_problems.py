"""How problems are shown and turned into data."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.config import ConfigProblems, Mark, Problem
from penstock.pipelines.config.marks import Source, shown_path

SOURCE = "      epoch: 5"
MARK = Mark("configs/digits.yaml", 14, 7, 5, SOURCE)
UNKNOWN = Problem(
    "unknown key 'epoch' in steps.trainer.with",
    ("steps", "trainer", "with", "epoch"),
    MARK,
    None,
    "one of batch_size, epochs, hparams",
    "did you mean 'epochs'?",
)
MISSING = Problem("missing required key 'pipeline'", (), Mark("configs/digits.yaml", 2, 1, 1, "root: x"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_rendering() -> None:
    error = ConfigProblems([UNKNOWN, MISSING, UNKNOWN], "configs/digits.yaml")
    assert str(error) == (
        "configs/digits.yaml:2:1: missing required key 'pipeline'\n"
        "    2 | root: x\n"
        "      | ^\n"
        "\n"
        "configs/digits.yaml:14:7: unknown key 'epoch' in steps.trainer.with\n"
        "   14 |       epoch: 5\n"
        "      |       ^^^^^\n"
        "      expected: one of batch_size, epochs, hparams\n"
        "      next: did you mean 'epochs'?\n"
        "\n"
        "2 problems in configs/digits.yaml; nothing was run."
    )


def test_one_problem_is_singular() -> None:
    assert str(ConfigProblems([UNKNOWN], "a.yaml")).endswith("\n\n1 problem in a.yaml; nothing was run.")


def test_it_is_a_config_error_with_its_exit_code() -> None:
    error = ConfigProblems([UNKNOWN], "a.yaml")
    assert isinstance(error, ConfigError)
    assert error.exit_code == 2


def test_data() -> None:
    data = ConfigProblems([UNKNOWN, Problem("there is no file x")], "a.yaml").to_dict()
    assert json.loads(json.dumps(data)) == {
        "cause": "config",
        "problems": [
            {
                "file": None,
                "line": None,
                "column": None,
                "path": "",
                "message": "there is no file x",
                "received": None,
                "expected": None,
                "hint": None,
            },
            {
                "file": "configs/digits.yaml",
                "line": 14,
                "column": 7,
                "path": "steps.trainer.with.epoch",
                "message": "unknown key 'epoch' in steps.trainer.with",
                "received": None,
                "expected": "one of batch_size, epochs, hparams",
                "hint": "did you mean 'epochs'?",
            },
        ],
    }


def test_it_survives_pickling() -> None:
    error = ConfigProblems([UNKNOWN], "a.yaml")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_received_is_shown_only_when_it_adds_something() -> None:
    problem = Problem("expected text, received the integer 5", received="the integer 5", expected="text")
    assert str(problem) == "expected text, received the integer 5"
    assert str(replace(problem, received="6")) == "expected text, received the integer 5\n      received: 6"


def test_problems_are_sorted_by_file_line_and_column() -> None:
    marks = [Mark("b", 1, 1), Mark("a", 10, 2), Mark("a", 9, 9), Mark("a", 10, 1)]
    problems = ConfigProblems([Problem("x", (), mark) for mark in marks], "a").problems
    assert [p.mark.location for p in problems if p.mark] == ["a:9:9", "a:10:1", "a:10:2", "b:1:1"]


def test_long_lines_are_cut_around_the_place() -> None:
    line = "x" * 200 + "BAD" + "y" * 200
    text, underline = Mark("a", 1, 201, 3, line).snippet()
    assert text == "    1 | " + "x" * 40 + "BAD" + "y" * 67
    assert underline == "      | " + " " * 40 + "^^^"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert Mark("a", 1, 3, 1, "\ta\x1b[31mb").snippet()[0] == "    1 |  a\N{REPLACEMENT CHARACTER}[31mb"


def test_marks_of_arguments_have_no_line() -> None:
    mark = Mark("--set a.b", 1, 1, 1, "x")
    assert str(Problem("no key 'a'", ("a", "b"), mark)) == "--set a.b: no key 'a'"


def test_marks_by_index_count_every_kind_of_line_end() -> None:
    source = Source("a", "one\r\ntwo\rthree\nfour")
    mark = source.mark_at(source.text.index("four") + 1)
    assert (mark.line, mark.column, mark.source) == (4, 2, "four")


def test_narrowed_marks() -> None:
    mark = Mark("a", 1, 4, 10, "a: x ${root}")
    assert (mark.narrowed("${root}").column, mark.narrowed("${root}").length) == (6, 7)
    assert mark.narrowed("${other}") is mark


def test_paths_are_shown_relative_inside_the_working_directory(tmp_path: Path) -> None:
    assert shown_path(tmp_path / "a/b.yaml") == "a/b.yaml"
    assert shown_path("a/../b.yaml") == "b.yaml"
    assert shown_path("/elsewhere/b.yaml") == "/elsewhere/b.yaml"
    assert shown_path(tmp_path) == str(tmp_path)
