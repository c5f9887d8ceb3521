"""What workers elsewhere install: Penstock, the project's code behind the steps, and the libraries as they are here."""

import subprocess
import sys
import tarfile
import venv
from importlib import metadata

import pytest

from penstock.pipelines.engines import package
from penstock.pipelines.engines.start import Demand

STEPS = (
    "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
    "  schema: {component: ImportSchemaGen, with: {schema_file: schema.pbtxt}}\n"
    "  trainer: {component: Trainer, with: {model_fn: shop.model.build_model, label: label}}\n"
)


@pytest.fixture
def graph(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("schema.pbtxt", "")
    project.write("shop/model.py", "from shop.layers import dense\nimport helpers\n\ndef build_model(context): ...\n")
    project.write("shop/layers/__init__.py", "def dense(): ...\n")
    project.write("helpers.py", "ANSWER = 42\n")
    project.write("unused.py", "")
    return project.graph(STEPS)


def write(folder, graph, **options):
    demand = Demand.of(graph, graph.steps.keys())
    assert demand
    return package.write(folder, demand.functions, demand.project, **options)


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("package")


def _names(folder):
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_code_of_penstock_and_of_the_project(graph, folder):
    assert write(folder, graph, libraries=True) == folder / "setup.py"
    names = _names(folder)
    assert {"shop/model.py", "shop/layers/__init__.py", "helpers.py", "requirements.txt", "MANIFEST.in"} <= names
    assert {"penstock/components/batch_inference/executor.py", "penstock/pipelines/catalog/components.json"} <= names
    assert not {name for name in names if "unused" in name or "__pycache__" in name}


def test_libraries_in_the_versions_that_are_installed_here(graph, folder):
    write(folder, graph, libraries=True)
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert f"pydantic=={metadata.version('pydantic')}" in lines
    assert f"apache-beam=={metadata.version('apache-beam')}" in lines
    assert not [line for line in lines if line.split("==")[0].lower() in ("penstock", "pip", "setuptools")]


def test_beside_an_image_code_alone(graph, folder):
    write(folder, graph, libraries=False)
    assert (folder / "requirements.txt").read_text() == ""


def _library(folder):
    """Return a source tree of a library that no package index has."""
    folder.mkdir()
    (folder / "penstock_test_library.py").write_text("VALUE = 7\n")
    (folder / "setup.py").write_text(
        "from setuptools import setup\n"
        "setup(name='penstock-test-library', version='1.2', py_modules=['penstock_test_library'],\n"
        "      install_requires=['no-such-thing-anywhere'])\n"
    )
    return folder


@pytest.mark.e2e
def test_a_worker_installs_it_as_beam_does(graph, folder, tmp_path):
    """Beam makes a source distribution here, and calls pip with it on the worker."""
    write(folder, graph, libraries=True)
    library = _library(tmp_path / "library")
    (folder / "requirements.txt").write_text(f"penstock-test-library @ file://{library}\n")
    made = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        assert any(name.endswith("/requirements.txt") for name in packed.getnames())
    worker = tmp_path / "worker"
    venv.create(worker, with_pip=True, system_site_packages=True)
    python = worker / "bin" / "python"
    # Without isolation only because tests reach no package index for setuptools.
    install = [python, "-m", "pip", "install", "-q", "--no-index", "--no-build-isolation", str(archive)]
    environment = {"PATH": "/usr/bin:/bin", "PIP_NO_BUILD_ISOLATION": "1", "PYTHONPATH": str(_setuptools())}
    ended = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = "import penstock_test_library, helpers, shop.model, penstock.errors as e; print(e.__file__)"
    ended = subprocess.run(
        [python, "-c", told], cwd="/", capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert ended.stdout.startswith(str(worker)), ended.stderr


def _setuptools():
    import setuptools  # type: ignore[import-untyped, unused-ignore]

    return setuptools.__path__[0].rpartition("/")[0]
