"""``penstock image``: what is laid out for ``docker build``, and what gets into the image."""

from __future__ import annotations

import shlex
import subprocess
import sys
import zipfile

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.image import entry_point
from penstock.pipelines.image.command import checked_tag
from penstock.pipelines.image.context import is_copied
from penstock.pipelines.image.dockerfile import own_ignore, project_ignore
from penstock.pipelines.image.stage import stage
from penstock.version import __version__
from tests.conftest import REPOSITORY
from tests.pipelines.models.command import invoke

STEPS = (
    "  examples: {component: CsvExampleGen, with: {input_base: rows}}\n"
    "  trainer: {component: Trainer, with: {model_fn: MODULE.build_model, label: label}}\n"
)


@pytest.fixture
def flowers(project):
    project.write("rows/rows.csv", "x,label\n1,0\n")
    project.write("model.py", "def build_model(context): ...\n")
    project.pipeline(STEPS.replace("MODULE", "model"))
    return project


def printed(*arguments):
    answer = invoke("image", *arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_the_files_are_laid_out_and_the_command_is_told(flowers):
    folder = flowers.folder
    made = folder / ".penstock" / "image"
    command = f"docker build --platform=linux/amd64 --file={made}/Dockerfile --tag=team/flowers:1 {folder}"
    assert printed("p.yaml", "--tag", "team/flowers:1").splitlines() == [
        f"Wrote {made}/Dockerfile",
        f"Build it:  {command}",
        "Push it:   docker push team/flowers:1",
    ]
    assert sorted(path.name for path in made.iterdir()) == [
        "Dockerfile",
        "Dockerfile.dockerignore",
        "requirements.txt",
        "source",
    ]


def test_print_gives_the_command_alone(flowers):
    text = printed("--print", "--tag", "a:1")
    assert shlex.split(text)[:2] == ["docker", "build"]
    assert text.count("\n") == 1


def test_show_gives_the_dockerfile_alone(flowers):
    assert printed("--show") == (flowers.folder / ".penstock/image/Dockerfile").read_text()


def test_a_path_with_a_space_is_quoted(tmp_path, monkeypatch):
    folder = tmp_path / "my project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert shlex.split(printed("--print"))[-1] == str(folder)
    assert "--tag=my-project:" in printed("--print")


def test_it_can_be_repeated_and_replaces_what_is_there(flowers):
    printed()
    left = flowers.folder / ".penstock" / "image" / "old"
    left.touch()
    printed()
    assert not left.exists()
    assert [path.name for path in (flowers.folder / ".penstock").iterdir()] == ["image"]


def test_the_tag_is_the_projects_by_default(flowers):
    assert f"--tag={flowers.folder.name.replace('_', '-')}:{__version__} " in printed("--print")


def test_the_checkout_has_a_dockerfile_of_its_own():
    text = printed("--print", str(REPOSITORY))
    assert f"--file={shlex.quote(str(REPOSITORY / 'Dockerfile'))}" in text or f"--file={REPOSITORY}" in text
    assert f"--tag=penstock:{__version__}" in text
    assert not (REPOSITORY / ".penstock" / "image").exists()


def test_the_staged_source_is_penstock_whole(flowers, tmp_path):
    made = stage(flowers.folder, "a:1")
    source = made.dockerfile.parent / "source"
    # In a folder of its own, as in the image: setuptools leaves files in it.
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "out",
        str(source),
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (file,) = (tmp_path / "out").glob("penstock-*.whl")
    assert file.name.startswith(f"penstock-{__version__}-")
    names = set(zipfile.ZipFile(file).namelist())
    wanted = {
        "penstock/py.typed",
        "penstock/pipelines/catalog/components.json",
        "penstock/pipelines/image/requirements.txt",
        "penstock/pipelines/image/template.Dockerfile",
        "penstock/pipelines/template/data/iris.csv",
        "penstock/components/trainer/kubernetes/pod.py",
    }
    assert wanted <= names


@pytest.mark.parametrize("file", ["model.py", "pipeline.yaml", "pkg/deep/rows.py", "schema/schema.pbtxt", "vocab.txt"])
def test_code_and_configs_get_into_the_image(file):
    assert is_copied(file, project_ignore())


@pytest.mark.parametrize(
    "file",
    [
        ".env",
        ".git/config",
        ".venv/lib/python3.11/site-packages/x.py",
        "venv/bin/activate.py",
        "data/rows.csv",
        "data/notes.txt",
        "runs/p/logs/a.yaml",
        "rows.tfrecord",
        "key.pem",
        "service-account.json",
        "conf/client_secret.yaml",
        "credentials.toml",
        "pkg/__pycache__/m.py",
        ".aws/credentials",
        "kubeconfig.yaml",
        ".penstock/serving/server.txt",
    ],
)
def test_data_runs_environments_and_secrets_do_not(file):
    assert not is_copied(file, project_ignore())


def test_what_was_staged_gets_into_the_context():
    assert is_copied(".penstock/image/source/penstock/errors.py", project_ignore())


@pytest.mark.parametrize(
    "file", [".venv/lib/x.py", "data/digits/a.gz", "runs/a", ".git/HEAD", "tests/conftest.py", "x.pem"]
)
def test_the_checkouts_context_is_what_it_copies(file):
    assert not is_copied(file, own_ignore())


def test_a_module_that_would_be_left_out(flowers):
    flowers.write("data/code.py", "def build_model(context): ...\n")
    flowers.pipeline(STEPS.replace("MODULE", "data.code"))
    answer = invoke("image", "p.yaml")
    assert isinstance(answer.exception, ConfigError)
    assert answer.exception.what == "a module that the pipeline calls does not get into the image"
    assert answer.exception.where == "data/code.py"


@pytest.mark.parametrize("tag", ["Flowers:1", "flowers", "team/flowers", "flowers:", "a b:1", "localhost:5000/x"])
def test_a_tag_that_docker_would_refuse_or_that_moves(tag):
    with pytest.raises(ConfigError, match="this is no name of an image with a version"):
        checked_tag(tag)


@pytest.mark.parametrize("tag", ["flowers:1", "registry.example.com:5000/team/flowers:1.0-rc_1", "a/b-c__d:V1"])
def test_tags(tag):
    assert checked_tag(tag) == tag


def test_further_requirements(flowers):
    flowers.write("further.txt", "polars\n")
    text = printed("--show", "--requirements", "further.txt")
    assert "COPY further.txt /build/further.txt" in text
    assert "--constraint /build/requirements.txt --requirement /build/further.txt" in text


@pytest.mark.parametrize(("name", "told"), [("none.txt", "are not there"), ("rows/rows.csv", "do not get into")])
def test_requirements_that_cannot_be_used(flowers, name, told):
    answer = invoke("image", "--requirements", name)
    assert isinstance(answer.exception, ConfigError)
    assert told in answer.exception.what


def test_a_place_that_is_not_there():
    answer = invoke("image", "nowhere.yaml")
    assert isinstance(answer.exception, ConfigError)


@pytest.mark.parametrize(
    ("arguments", "beam"),
    [
        (["--id=1", "--provision_endpoint=localhost:1"], True),
        (["--worker_pool"], True),
        (["-id", "3"], True),
        (["--help"], False),
        (["--version"], False),
        (["run", "p.yaml"], False),
        ([], False),
    ],
)
def test_who_a_container_is_for(arguments, beam):
    assert entry_point.is_for_beam(arguments) is beam


def test_a_beam_worker_becomes_boot(monkeypatch):
    became = []
    monkeypatch.setattr("os.execv", lambda *given: became.append(given))
    monkeypatch.setattr("penstock.pipelines.cli.main", lambda: None)
    entry_point.main(["--id=1"])
    assert became == [("/opt/apache/beam/boot", ["/opt/apache/beam/boot", "--id=1"])]


def test_anything_else_is_the_command_line():
    command = [sys.executable, "-m", entry_point.__name__, "--version"]
    assert subprocess.check_output(command, text=True) == f"penstock {__version__}\n"
