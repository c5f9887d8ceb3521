"""YAML: what is read, and how what is not YAML is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from penstock.pipelines.config.marks import Source
from penstock.pipelines.config.parse import parse
from penstock.pipelines.config.scalars import read_scalar
from penstock.pipelines.config.tree import flatten
from tests.pipelines.config.conftest import Project


def _data(text: str) -> Any:
    tree, problems = parse(Source("x", text))
    assert problems == []
    return flatten(tree)[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-0x1F", -31),
        ("0o17", 15),
        ("1_000", 1000),
        ("5.0", 5.0),
        ("1e-3", 0.001),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("off", "off"),
        ("2020-01-02", "2020-01-02"),
        ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05Z"),
        ("12:30:45", "12:30:45"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("=", "="),
    ],
)
def test_scalars_of_yaml_1_2(text: str, value: Any) -> None:
    data = _data(f"a: {text}\n")
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_a_yaml_1_1_line_changes_nothing() -> None:
    assert _data("%YAML 1.1\n---\na: yes\nb: 010\n") == {"a": "yes", "b": 10}


def test_nan() -> None:
    assert math.isnan(_data("a: .nan")["a"])


def test_aliases_are_expanded() -> None:
    assert _data("a: &x {b: [1]}\nc: *x\n") == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_references_need_no_quotes_in_flow_mappings() -> None:
    text = "a: {b: ${root}/x, c: [${env.A:1, 2}, ${vars.x}], d: '${y}'} # ${z}\n"
    assert _data(text) == {"a": {"b": "${root}/x", "c": ["${env.A:1, 2}", "${vars.x}"], "d": "${y}"}}


def test_quotes_behind_an_open_reference_still_end_the_text() -> None:
    assert _data("[{a: '${x'}, '$${y', 'z}', ${env.A:'b, c'}]") == [{"a": "${x"}, "$${y", "z}", "${env.A:'b, c'}"]


def test_columns_count_characters_behind_references() -> None:
    _, places = flatten(parse(Source("x", "é: {a: ${vars.b}, c: 1}\n"))[0])
    assert (places.values["é", "c"].line, places.values["é", "c"].column) == (1, 22)
    assert (places.keys["é", "c"].column, places.values["é", "a"].length) == (19, 9)


REFUSED = {
    "a: b: c\n": (
        "1:5",
        "not valid YAML: a ':' where no key can be",
        "put text with ': ' in quotes, or check the indentation",
    ),
    "a: 1\nb\nc: 2\n": ("2:1", "not valid YAML: a key without its ':'", "write 'key: value'"),
    "a: 1\nb: [\n": (
        "2:5",
        "not valid YAML: the text ends where a value is expected",
        "add it, and close the brackets and quotes above",
    ),
    "a: |\n \n    text\nb: 1\n": (
        "3:5",
        "not valid YAML: empty lines above this block of text have spaces of their own",
        "remove these spaces",
    ),
    "a: [1\nb: 2\n": ("1:4", "not valid YAML: this '[' is not closed", "add the missing ']' or ','"),
    "a: {x: 1\nb: 2\n": ("1:4", "not valid YAML: this '{' is not closed", "add the missing '}' or ','"),
    'a: "x\nb: 2': ("1:4", "not valid YAML: this quote is not closed", "add the closing quote"),
    "a: @x\n": ("1:4", "not valid YAML: a text cannot begin with '@'", "put it in quotes"),
    'a: "\\q"\n': ("1:6", "not valid YAML: '\\q' is no escape in double quotes", "use single quotes"),
    "a: ]\n": ("1:4", "not valid YAML: a value is missing here", "add it, or put the text in quotes"),
    "a: *x\n": ("1:4", "not valid YAML: no anchor '&x' stands before '*x'", "declare the anchor, or put it in quotes"),
    "a:\n  - b\n c: d\n": (
        "3:2",
        "not valid YAML: this line does not continue the lines before it",
        "check its indentation, and brackets and quotes above",
    ),
    "a: |x\n  y\n": (
        "1:5",
        (
            "not valid YAML: expected chomping or indentation indicators, but found 'x' while scanning a block scalar "
            "that begins at line 1"
        ),
        None,
    ),
    '"\\UFFFFFFFF": 1\n': ("1:1", "not valid YAML: a damaged escape, tag or directive after this place", None),
    "a:\n\tb: 1\n": ("2:1", "a TAB in the indentation", "indent with spaces"),
    "a:\n  b: 1\n  \tc: 1\n": ("3:3", "a TAB in the indentation", "indent with spaces"),
    "a: 1\n---\nb: 2\n": ("2:1", "several YAML documents in one file", "keep one: remove what follows '---'"),
    "a: \x07\n": ("1:4", "the character U+0007 cannot be used", "remove it, or write it as an escape in double quotes"),
    "\U0010ff00: 1\n": (
        "1:1",
        "the character U+10FF00 cannot be used",
        "remove it, or write it as an escape in double quotes",
    ),
    "a: &x {b: *x}\n": ("1:8", "an alias refers to a value that holds it", None),
    "a: " + "[" * 60 + "]" * 60: ("1:53", "nested more than 50 levels deep", "name inner parts under 'vars'"),
    "- 1\n" * 10_000: ("10000:3", "more than 10,000 values", "split the file, or read the data in a step"),
    "a: &a [0,0,0,0,0,0,0,0,0,0]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
    "d: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n": (
        "4:1",
        "aliases expand to more than 10,000 values",
        "write out the few values that are needed",
    ),
    "a: " + "!" * 20_000: ("1:1", "a line of 20,003 characters", "break the line, or read the data in a step"),
}


@pytest.mark.parametrize("text", REFUSED, ids=[expected[1][:50] for expected in REFUSED.values()])
def test_text_that_cannot_be_read_makes_one_problem(project: Project, text: str) -> None:
    place, message, hint = REFUSED[text]
    problem = project.only(text)
    assert problem.message == message
    assert problem.mark is not None
    assert problem.mark.location == f"p.yaml:{place}"
    assert problem.hint == hint


def test_a_long_chain_of_aliases_is_refused(project: Project) -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 100))
    assert project.only(text).message == "nested more than 50 levels deep"


def test_duplicate_keys_point_at_both_lines(project: Project) -> None:
    text = Project.HEAD + "steps:\n  trainer: {component: Trainer}\n  trainer: {component: Tuner}\n"
    assert project.shown(text) == (
        "p.yaml:5:3: duplicate key 'trainer' (first at line 4)\n"
        "    5 |   trainer: {component: Tuner}\n"
        "      |   ^^^^^^^\n"
        "      next: keep one of them"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!!python/object:os.system x", "the YAML tag '!!python/object:os.system' is not allowed"),
        ("!mine {a: 1}", "the YAML tag '!mine' is not allowed"),
        ("!!set {a}", "the YAML tag '!!set' is not allowed"),
        ("!!binary aGk=", "the YAML tag '!!binary' is not allowed"),
        ("!!bool maybe", "cannot read 'maybe': it is neither true nor false"),
        ("!!int ''", "cannot read '': it is no integer"),
        ("0b_", "cannot read '0b_': it is no integer"),
        ("!!float x", "cannot read 'x': it is no number"),
        ("18446744073709551616", "cannot read '18446744073709551616': an integer has at most 64 bits"),
        ("0x" + "f" * 5000, f"cannot read '0x{'f' * 57}…': an integer has at most 64 bits"),
        ('"\\ud800"', "cannot read '\\ud800': half a surrogate pair is no character"),
        ("{5: x}", "a key must be text, received the integer 5"),
        ("{true: x}", "a key must be text, received true"),
        ("{null: x}", "a key must be text, received nothing"),
        ("{[a]: x}", "a key must be text, received a list"),
        ("{{a: b}: x}", "a key must be text, received a mapping"),
        ("{!x y: z}", "cannot read the key 'y': !x"),
        ("{<<: {a: 1}}", "merge keys ('<<') are not supported"),
        ("{a${root}: x}", "the key 'a${root}' holds '${'; names are replaced in values only"),
    ],
)
def test_values_that_are_refused_leave_the_rest_readable(project: Project, value: str, message: str) -> None:
    error = project.refused(Project.HEAD + f"vars: {{x: {value}}}\n" + "steps: {trainer: {component: 5}}\n")
    assert [problem.message for problem in error.problems] == [
        message,
        "expected text, received the integer 5 at steps.trainer.component",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1.50", 1.5),
        ("true", True),
        ("", None),
        ("'5'", "5"),
        ('"a\\tb"', "a\tb"),
        ("five", "five"),
        ("a: b", "a: b"),
        ("[1, 2]", "[1, 2]"),
        ("pass #word", "pass #word"),
        ("!x y", "!x y"),
        ("' unbalanced '' x'", " unbalanced ' x"),
        ("'a' b'", "'a' b'"),
        ("'", "'"),
        ("9" * 30, "9" * 30),
        ("-_", "-_"),
    ],
)
def test_a_whole_text_as_a_scalar(text: str, value: Any) -> None:
    assert read_scalar(text) == value
    assert type(read_scalar(text)) is type(value)
