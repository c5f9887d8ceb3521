"""What ``pip install .`` and Beam's workers get: every package and data file, under one import name."""

import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    parts = ["penstock", "pipelines", "components", "serving", "metadata", "setup.py", "pyproject.toml", "README.md"]
    for part in parts:
        if (REPOSITORY / part).is_dir():
            shutil.copytree(REPOSITORY / part, folder / part, symlinks=True)
        else:
            shutil.copyfile(REPOSITORY / part, folder / part)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (file,) = (folder / "out").glob("penstock-*.whl")
    return set(zipfile.ZipFile(file).namelist())


def test_everything_is_below_one_import_name(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"penstock"}


@pytest.mark.parametrize("package", ["pipelines", "components", "serving", "metadata"])
def test_every_module_is_there(wheel, package):
    modules = [path for path in (REPOSITORY / package).rglob("*.py") if "template" not in path.parts]
    assert modules
    assert {f"penstock/{path.relative_to(REPOSITORY)}" for path in modules} <= wheel


def test_data_files_are_there(wheel):
    template = REPOSITORY / "pipelines/template"
    files = [path for path in template.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names = {f"penstock/{path.relative_to(REPOSITORY)}" for path in files}
    assert "penstock/pipelines/template/data/iris.csv" in names
    names |= {
        f"penstock/pipelines/report/template/{path.name}"
        for path in (REPOSITORY / "pipelines/report/template").iterdir()
    }
    names |= {f"penstock/pipelines/catalog/{name}.json" for name in ("components", "protos", "metrics")}
    names |= {f"penstock/pipelines/image/{name}" for name in ("requirements.txt", "template.Dockerfile")}
    assert names | {"penstock/py.typed"} <= wheel
