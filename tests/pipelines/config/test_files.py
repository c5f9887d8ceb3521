"""Reading files, and files that extend one another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.pipelines.config import ConfigProblems, load
from penstock.pipelines.config.files import project_of
from penstock.pipelines.config.limits import MAX_BYTES
from tests.pipelines.config.conftest import Project


def _refused(file: str | Path) -> str:
    with pytest.raises(ConfigProblems) as caught:
        load(file)
    return str(caught.value)


def test_missing_file(project: Project) -> None:
    project.write("configs/digits.yaml", Project.HEAD)
    assert _refused("configs/digit.yaml") == (
        "there is no file configs/digit.yaml\n"
        "      next: did you mean 'digits.yaml'?\n"
        "\n"
        "1 problem in configs/digit.yaml; nothing was run."
    )


def test_missing_folder(project: Project) -> None:
    assert "there is no file no/digits.yaml\n      next: the folder no cannot be listed either" in _refused(
        "no/digits.yaml"
    )


def test_a_directory(project: Project) -> None:
    (project.folder / "configs").mkdir()
    assert _refused("configs").startswith(
        "configs is a directory, expected a YAML file\n      next: name the YAML file inside it"
    )


def test_no_regular_file(project: Project) -> None:
    os.mkfifo(project.folder / "pipe.yaml")
    assert _refused("pipe.yaml").startswith("pipe.yaml is no regular file, expected a YAML file")


def test_an_unreadable_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project.write("p.yaml", Project.HEAD)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert _refused(file).startswith(
        "p.yaml cannot be read: Permission denied\n      next: check the path and its permissions"
    )


def test_a_name_with_a_null_character(project: Project) -> None:
    assert _refused("a\0b").startswith("'a\\x00b' is no file name: it holds a null character")


def test_a_name_that_is_too_long(project: Project) -> None:
    assert "cannot be read: File name too long" in _refused("a" * 5000)


def test_a_file_that_is_too_large(project: Project) -> None:
    assert project.shown("#" * (MAX_BYTES + 1)) == (
        "p.yaml is larger than 1,000,000 bytes\n      next: a configuration names data, it does not hold it"
    )


def test_not_utf8(project: Project) -> None:
    assert project.shown(b"pipeline: digits\nroot: \xe9t\xe9\n") == (
        "p.yaml:2:7: not UTF-8 text: byte 0xE9\n"
        "    2 | root: \ufffdt\ufffd\n"
        "      |       ^\n"
        "      next: save the file as UTF-8"
    )


def test_utf16_is_not_utf8(project: Project) -> None:
    assert project.only(Project.HEAD.encode("utf-16")).message == "not UTF-8 text: byte 0xFF"


def test_a_byte_order_mark_is_ignored(project: Project) -> None:
    text = "\ufeff" + Project.HEAD + Project.STEPS
    assert project.load(text).config.pipeline == "digits"


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null"])
def test_an_empty_file(project: Project, text: str) -> None:
    problem = project.only(text)
    assert problem.message == "the file is empty"
    assert problem.hint == "write 'pipeline', 'root' and 'steps'; `penstock init` makes an example"


@pytest.mark.parametrize(
    ("text", "received"), [("[1, 2]", "a list"), ("hello", "the text 'hello'"), ("5", "the integer 5")]
)
def test_a_top_level_that_is_no_mapping(project: Project, text: str, received: str) -> None:
    assert project.only(text).message == f"the top level must be a mapping, received {received}"


def test_project_is_the_nearest_folder_with_a_sign(project: Project) -> None:
    file = project.write("top/configs/deep/p.yaml", "")
    assert project_of(file) == file.parent or project_of(file) in file.parents
    project.write("top/pyproject.toml", "")
    assert project_of(file) == project.folder / "top"
    (project.folder / "top/configs/.git").mkdir()
    assert project_of(file) == project.folder / "top/configs"
    project.write("top/configs/deep/setup.py", "")
    assert project_of(file) == project.folder / "top/configs/deep"


def test_extends_merges_in_order(project: Project) -> None:
    project.write("base/low.yaml", "pipeline: low\nroot: low\nvars: {a: 1, b: {c: 1, d: 2}}\n")
    project.write("base/high.yaml", "extends: low.yaml\nroot: high\nvars: {b: {c: 3}}\n")
    project.write("base/other.yaml", "vars: {b: {e: 4}}\nsteps: {one: {component: A}, two: {component: B}}\n")
    loaded = project.load("extends: [base/high.yaml, base/other.yaml]\nvars: {a: null}\nsteps: {one: null}\n")
    assert loaded.config.pipeline == "low"
    assert loaded.config.root == "high"
    assert loaded.config.vars == {"b": {"c": 3, "d": 2, "e": 4}}
    assert list(loaded.config.steps) == ["two"]
    assert loaded.config.extends == ("base/high.yaml", "base/other.yaml")


def test_marks_point_into_the_file_that_wrote_the_value(project: Project) -> None:
    project.write("base.yaml", Project.HEAD + "steps:\n  trainer: {component: Trainer, with: {epochs: 5}}\n")
    document = project.load("extends: base.yaml\nsteps:\n  trainer:\n    with: {epochs: 6}\n").document
    assert str(document.mark(("pipeline",)).location) == "base.yaml:1:11"  # type: ignore[union-attr]
    assert document.mark(("steps", "trainer", "with", "epochs")).location == "p.yaml:4:20"  # type: ignore[union-attr]


def test_a_missing_base_is_marked_where_it_is_named(project: Project) -> None:
    project.write("base.yaml", Project.HEAD)
    assert project.shown("extends: [base.yaml, basis.yaml]\n") == (
        "p.yaml:1:22: there is no file basis.yaml\n"
        "    1 | extends: [base.yaml, basis.yaml]\n"
        "      |                      ^^^^^^^^^^\n"
        "      next: did you mean 'base.yaml'?"
    )


def test_problems_of_a_base_are_located_in_it(project: Project) -> None:
    project.write("base.yaml", "pipeline: digits\nroot: 'runs\n")
    assert project.shown("extends: base.yaml\n").startswith("base.yaml:2:7: not valid YAML: this quote is not closed")


def test_a_cycle_prints_its_chain(project: Project) -> None:
    project.write("a.yaml", "extends: b.yaml\n")
    project.write("b.yaml", "extends: p.yaml\n")
    assert project.only("extends: a.yaml\n").message == (
        "'extends' goes round in a circle: p.yaml -> a.yaml -> b.yaml -> p.yaml"
    )


def test_one_base_reached_twice_is_no_cycle(project: Project) -> None:
    project.write("base.yaml", Project.HEAD + Project.STEPS)
    project.write("a.yaml", "extends: base.yaml\nvars: {a: 1}\n")
    project.write("b.yaml", "extends: base.yaml\nvars: {b: 2}\n")
    assert project.load("extends: [a.yaml, b.yaml]\n").config.vars == {"a": 1, "b": 2}


def test_a_very_long_chain_stops(project: Project) -> None:
    for number in range(60):
        project.write(f"{number}.yaml", f"extends: {number + 1}.yaml\n")
    assert project.only("extends: 0.yaml\n").message == "more than 50 files extend one another"


@pytest.mark.parametrize(
    ("extends", "received"),
    [
        ("5", "the integer 5"),
        ("{a: 1}", "a mapping"),
        ("['']", "the text ''"),
        ("'${vars.base}'", "the text '${vars.base}'"),
    ],
)
def test_extends_must_name_files(project: Project, extends: str, received: str) -> None:
    problem = project.only(f"extends: {extends}\n")
    assert problem.message == f"'extends' must name a file or a list of files, received {received}"


def test_a_name_with_control_characters_stays_on_one_line(project: Project) -> None:
    assert _refused("a\n\x1b[31m.yaml").startswith("there is no file a\\n\\x1b[31m.yaml\n")


def test_utf_16_without_a_mark(project: Project) -> None:
    text = _refused(project.write("p.yaml", Project.HEAD.encode("utf-16-le")))
    assert "p.yaml:1:2: the character U+0000 cannot be used" in text
    assert "next: save the file as UTF-8 text" in text
