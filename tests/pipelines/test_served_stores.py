"""Every question gives the same answer whether the store is a file or a database of a server, and changes neither."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import EnvironmentProblem
from penstock.metadata.label_changes import label_changes
from penstock.metadata.retrying import RetryingStore
from penstock.metadata.server import Server
from penstock.serving.manifest import MANIFEST, Manifest
from tests.conftest import Project
from tests.metadata.run_files import History, whole_run
from tests.metadata.servers import KINDS, PASSWORD, VARIABLE, Database, declared
from tests.pipelines.models.command import invoke
from tests.pipelines.models.pushed import configure, push

STEPS = """
steps:
  examples: {component: CsvExampleGen, with: {input_base: data}}
  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label}}
  pusher: {component: Pusher, with: {destination: {directory: "${root}/serving/digits"}, model_name: digits}}
"""
TIMES = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?|\b1[78]\d{11}\b|took +[\d.]+ s|\b[\d.]+ m?s\b"
)
SECONDS = re.compile(r'("?seconds"?: )[\d.]+')
NAMES = ("here", "there")
QUESTIONS = [
    ("runs", "list"),
    ("runs", "list", "--json"),
    ("runs", "show", "latest"),
    ("runs", "show", "r1", "--json"),
    ("runs", "diff", "r1", "r2", "--json"),
    ("lineage", "digits/1"),
    ("lineage", "digits@stable", "--format", "json"),
    ("lineage", "digits/2", "--format", "mermaid"),
    ("models", "show", "digits"),
    ("models", "show", "digits/2", "--json"),
    ("metadata", "export"),
    ("metadata", "export", "--format", "openlineage"),
]


@pytest.fixture(scope="module", params=list(KINDS))
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with KINDS[request.param]() as found:
        yield found


class Twins:
    """One history in two stores, each with a root and a pipeline's file: ``here`` a file, ``there`` a server."""

    def __init__(self, project: Project, server: Server) -> None:
        self.folder = project.folder
        self.server = server
        project.write("data/rows.csv", "x,label\n1,0\n")
        project.write("code.py", "def build_model(context): ...\n")
        self.histories: dict[str, History] = {}
        for name in NAMES:
            store = RetryingStore(server) if name == "there" else None
            text = f"metadata: {declared(server)}\n" if store else ""
            project.write(f"{name}.yaml", f"pipeline: digits\nroot: {name}\n{text}{STEPS}")
            base = project.folder / name / "serving" / "digits"
            push(base, 1, 2)
            configure(base, 1, 2, stable=1)
            self.histories[name] = History(project.folder / name, store=store)
            for version in (1, 2):
                digest = Manifest.from_bytes((base / str(version) / MANIFEST).read_bytes()).digest
                whole_run(self.histories[name], f"r{version}", version, config_digest=f"c{version}")
                self._name_digest(self.histories[name].store, version, digest)

    def _name_digest(self, store: Any, version: int, digest: str) -> None:
        (pushed,) = (
            one
            for one in store.get_artifacts_by_type("PushedModel")
            if one.custom_properties["pushed_version"].string_value == str(version)
        )
        pushed.custom_properties["digest"].string_value = digest
        store.put_artifacts([pushed])

    def answer(self, name: str, *words: str) -> str:
        """Return what a command says of one of them, without what must differ."""
        place = ["--in", f"{name}.yaml"] if words[0] != "gc" else []
        answered = invoke(*words, *place)
        assert answered.exit_code == 0, (words, answered.exception, answered.output, answered.stderr)
        assert PASSWORD not in answered.output
        text = TIMES.sub("TIME", SECONDS.sub(r"\1S", answered.output))
        for store in (str(self.server), f"{self.folder}/here/metadata.sqlite", "here/metadata.sqlite"):
            text = text.replace(store, "STORE")
        return text.replace("there", "here")


@pytest.fixture(scope="module")
def twins(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, PASSWORD)
        return Twins(Project(tmp_path_factory.mktemp("a project")), database.database("twin"))


@pytest.fixture(autouse=True)
def _in_the_project(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    monkeypatch.chdir(twins.folder)


def test_every_question_has_the_same_answer_and_changes_nothing(twins: Twins, database: Database):
    before = database.dump(twins.server.database)
    for words in QUESTIONS:
        here, there = (twins.answer(name, *words) for name in NAMES)
        assert there == here, words
        assert here
    assert database.dump(twins.server.database) == before


def test_the_page_of_a_run(twins: Twins):
    pages = []
    for name in NAMES:
        twins.answer(name, "report", "r2", "-o", f"{name}.html")
        pages.append(TIMES.sub("TIME", Path(f"{name}.html").read_text().replace("there", "here")))
    assert "stable" in pages[0]
    assert pages[1] == pages[0]
    assert PASSWORD not in pages[1]


def test_a_moved_label_is_recorded_on_the_server(twins: Twins):
    for name in NAMES:
        assert "Recorded in ML Metadata: execution " in twins.answer(name, "models", "promote", "digits", "2")
    assert [(one.kind, one.before, one.after) for one in label_changes(twins.server, "digits")] == [("promote", 1, 2)]
    assert "promote stable: 1 → 2" in twins.answer("there", "models", "show", "digits/2")


def test_gc_marks_on_the_server_and_removes_only_below_the_root(twins: Twins):
    for history in twins.histories.values():
        whole_run(history, "r3")
    for words in (("--json",), ("--yes", "--json"), ()):
        here, there = (twins.answer(name, "gc", f"{name}.yaml", "--keep-runs", "1", *words) for name in NAMES)
        assert there == here
    states = twins.histories["there"].states()
    assert states == twins.histories["here"].states()
    assert set(states.values()) == {"LIVE", "DELETED"}
    assert not (twins.folder / "there" / "scores" / "predictions" / "5").exists()


def test_a_pipeline_that_has_not_run(twins: Twins, database: Database):
    server = database.database("never")
    Path("never.yaml").write_text(f"pipeline: digits\nroot: never\nmetadata: {declared(server)}\n{STEPS}")
    for words in (("runs", "list", "--in", "never.yaml"), ("gc", "never.yaml"), ("gc", "never.yaml", "--yes")):
        answered = invoke(*words)
        assert isinstance(answered.exception, EnvironmentProblem), words
        assert str(answered.exception) == (
            f"{server}: there is no metadata store\n  received: a server without that database\n"
            "  next: run the pipeline first"
        )
    assert not Path("never").exists()


def test_a_question_takes_as_many_calls_however_many_artifacts_there_are(twins: Twins, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    call = RetryingStore._call

    def counted(self: RetryingStore, method: str, *rest: Any) -> None:
        calls.append(method)
        call(self, method, *rest)

    monkeypatch.setattr(RetryingStore, "_call", counted)

    def asked(*words: str) -> int:
        calls.clear()
        twins.answer("there", *words)
        return len(calls)

    questions = [("runs", "show", "r2"), ("lineage", "digits/1"), ("models", "show", "digits/2")]
    before = {words: asked(*words) for words in questions}
    for history in twins.histories.values():
        history.run("more")
        for number in range(3):
            history.step("more", "more", {f"out{one}-{number}": ("Model", {}) for one in range(10)})
    assert {words: asked(*words) for words in questions} == before
