"""``penstock init``: whole or not at all, and valid as it stands."""

import pytest

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.config import load
from penstock.pipelines.project import create
from penstock.pipelines.resolve import resolve


def test_a_new_project_is_valid(tmp_path):
    files = create(tmp_path / "flowers")
    assert files == ["README.md", "data", "model.py", "pipeline.yaml", "pyproject.toml", "test_pipeline.py"]
    graph = resolve(load(tmp_path / "flowers/pipeline.yaml"))
    assert list(graph.steps)[-1] == "pusher"
    assert graph.project == tmp_path / "flowers"
    assert [path.name for path in tmp_path.iterdir()] == ["flowers"]


def test_an_empty_folder_is_fine(tmp_path):
    (tmp_path / "flowers").mkdir()
    assert "model.py" in create(tmp_path / "flowers")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="the folder is not empty; nothing was written"):
        create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_of_that_name(tmp_path):
    (tmp_path / "flowers").write_text("")
    with pytest.raises(ConfigError, match="there is a file of that name"):
        create(tmp_path / "flowers")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="the project cannot be written: File exists"):
        create(tmp_path / "file/flowers")
