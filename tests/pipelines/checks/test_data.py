"""Rules about the data that a pipeline reads."""

import pytest

from penstock.pipelines.checks import data

CSV = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
SPLITS = (
    "  examples: {component: ImportExampleGen, with: {input_base: data, input_config: "
    "{splits: [{name: train, pattern: 'train-*'}, {name: eval, pattern: 'eval-*'}]}}}\n"
)


def test_a_folder_that_is_not_there(project):
    text = project.problems(CSV)
    assert "the data folder of step 'examples' is not there" in text
    assert f"received: {project.folder}/data" in text
    assert f"paths are relative to {project.folder}" in text


def test_a_file_in_place_of_the_folder(project):
    project.write("data", "x")
    assert "the data folder of step 'examples' is a file, not a folder" in project.problems(CSV)


def test_an_empty_folder(project):
    (project.folder / "data").mkdir()
    assert f"'{project.folder}/data' holds no files" in project.problems(CSV)


def test_a_split_without_files_names_what_is_there(project):
    project.write("data/train-0.gz", "x")
    text = project.problems(SPLITS)
    assert "no file for split 'eval' of step 'examples'" in text
    assert "the folder holds train-0.gz" in text


def test_data_behind_a_url_is_left_alone(project):
    assert project.graph("  e: {component: CsvExampleGen, with: {input_base: 'gs://bucket/rows'}}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "rows.csv has no header: its first line is empty"),
        ("\na,b\n1,2\n", "rows.csv has no header: its first line is empty"),
        ('"a","b"\n1,2\n', "rows.csv has a header in quotes, which would become a part of the names"),
        ("\ufeffa,b\n1,2\n", "rows.csv has a byte order mark before its header"),
        ("a,b\n1,2,3\n", "rows.csv has 3 cells in its first row and 2 cells in its header"),
        ("a\n1,2\n", "rows.csv has 2 cells in its first row and 1 cell in its header"),
        ("1,2,3\n4,5,6\n", "rows.csv has no header: its first line holds only numbers"),
        ("a,,c\n1,2,3\n", "rows.csv has no header: a cell of its first line is empty"),
        ("a,b,a\n1,2,3\n", "rows.csv has no header: its first line repeats a"),
        ("a,b\n", "rows.csv has a header and no rows"),
        ("a;b\n1;2\n", "rows.csv has no header: ';' separates its columns"),
        ("a\tb\n1\t2\n", "rows.csv has no header: a TAB separates its columns"),
    ],
)
def test_a_csv_file_without_header_or_rows(project, content, message):
    project.write("data/rows.csv", content)
    assert message in project.problems(CSV)


def test_csv_files_with_different_headers(project):
    project.write("data/a.csv", "x,y\n1,2\n")
    project.write("data/b.csv", "x,z\n1,2\n")
    assert f"{project.folder}/data/b.csv and {project.folder}/data/a.csv have different headers" in project.problems(
        CSV
    )


def test_a_csv_file_that_is_no_text(project):
    (project.folder / "data").mkdir()
    (project.folder / "data/rows.csv").write_bytes(b"\xff\xfe\x00a")
    assert "rows.csv cannot be read as CSV" in project.problems(CSV)


def test_a_csv_file_that_may_not_be_read(project, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    project.write("data/rows.csv", "a,b\n1,2\n")
    monkeypatch.setattr(data, "_first_two", refuse)
    text = project.problems(CSV)
    assert f"{project.folder}/data/rows.csv cannot be read: Permission denied" in text
    assert "next: check its owner and permissions" in text
    assert "1 problem in" in text


@pytest.mark.parametrize("name", ["x" * 300, '"a\\0b"'])
def test_a_folder_name_that_no_file_system_takes(project, name):
    text = project.problems(f"  examples: {{component: CsvExampleGen, with: {{input_base: {name}}}}}\n")
    assert "the data folder of step 'examples' cannot be read" in text


@pytest.mark.parametrize("pattern", ["**x", "a/**b", "[", "*/*", "x" * 300])
def test_any_pattern_is_looked_for(project, pattern):
    project.write("data/train-0.gz", "x")
    text = project.problems(SPLITS.replace("eval-*", pattern))
    assert f"received: pattern {pattern} in {project.folder}/data" in text


LABELLED = CSV + (
    "  statistics: {component: StatisticsGen}\n  schema: {component: SchemaGen}\n"
    "  t: {component: Trainer, with: {model_fn: code.build_model, label: kind}}\n"
)


def test_a_label_that_is_text(project):
    project.write("code.py", "def build_model(context): ...\n")
    project.write("data/rows.csv", "x,kind\n1,red\n")
    text = project.problems(LABELLED)
    assert "label 'kind' is text, and a loss needs a number" in text
    assert "received: 'red' in the first row" in text
    assert "1 problem in" in text


@pytest.mark.parametrize("value", ["0", "1.5", "", "-3e2"])
def test_a_label_that_is_a_number_or_missing(project, value):
    project.write("code.py", "def build_model(context): ...\n")
    project.write("data/rows.csv", f"x,kind\n1,{value}\n")
    assert project.graph(LABELLED)


def test_a_label_that_is_text_may_be_transformed(project):
    project.write("code.py", "def build_model(context): ...\ndef preprocess(inputs): ...\n")
    project.write("data/rows.csv", "x,kind\n1,red\n")
    transform = "  transform: {component: Transform, with: {preprocessing_fn: code.preprocess}}\n  t:"
    assert project.graph(LABELLED.replace("  t:", transform))


def test_a_header_that_is_none_is_not_compared_with_labels(project):
    project.write("data/rows.csv", "1,2,3\n4,5,6\n")
    project.write("code.py", "def build_model(context): ...\n")
    trainer = "  t: {component: Trainer, with: {model_fn: code.build_model, label: label}}\n"
    text = project.problems(CSV + trainer)
    assert "its first line holds only numbers" in text
    assert "1 problem in" in text
