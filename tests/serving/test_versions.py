from pathlib import Path

import pytest

from penstock.serving.versions import INT64_MAX, version_number, versions


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("007", 7),
        (" 12\t", 12),
        ("-4", -4),
        ("+5", 5),
        ("0", 0),
        ("-0", 0),
        (str(INT64_MAX), INT64_MAX),
        (str(-INT64_MAX - 1), -INT64_MAX - 1),
        ("0" * 5000 + "9", 9),
    ],
)
def test_what_tensorflow_reads_as_a_number(name: str, number: int):
    assert version_number(name) == number


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-",
        "+",
        "1_000",
        "v9",
        "9.0",
        "1e3",
        "0x1",
        "٣",
        "- 4",
        "4 5",
        ".staging-8",
        str(2**63),
        "-" + str(2**63 + 1),
        "9" * 5000,
    ],
)
def test_what_it_does_not(name: str):
    assert version_number(name) is None


def test_only_children_of_such_names_count(tmp_path: Path):
    for name in ("1", "007", " 12 ", "-4", "1_000", ".staging-8"):
        (tmp_path / name).mkdir()
    assert versions(tmp_path) == {1: "1", 7: "007", 12: " 12 ", -4: "-4"}


def test_a_file_counts_as_well(tmp_path: Path):
    (tmp_path / "3").touch()
    assert versions(tmp_path) == {3: "3"}


@pytest.mark.parametrize(("names", "name"), [(["7", "007"], "7"), (["7", "7 "], "7 "), ([" 7", "07"], "07")])
def test_of_several_names_for_a_number_the_last_counts(tmp_path: Path, names: list[str], name: str):
    for each in names:
        (tmp_path / each).mkdir()
    assert versions(tmp_path) == {7: name}
