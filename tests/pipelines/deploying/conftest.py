"""A small pipeline, compiled by hand, and a server to deploy it to."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from penstock.errors import PenstockError
from penstock.pipelines.cli.app import app
from penstock.pipelines.deploying import follow, terminal
from penstock.pipelines.kubeflow import Compiled, Parameter
from tests.conftest import Project
from tests.pipelines.deploying.kfp_server import KfpServer

TOKEN = "a-token-that-nobody-may-see"
TOP = """\
pipeline: small
root: s3://bucket/small
vars: {epochs: 2, rate: 0.5, note: hello, layers: [8, 4], big: false, options: {a: 1}}
kubeflow: {image: "registry.example.com/small:1", volumes: [{claim: data, path: /data}]}
"""
STEPS = """\
  examples: {component: CsvExampleGen, with: {input_base: /data/rows}}
  statistics: {component: StatisticsGen}
  data_schema: {component: SchemaGen}
"""


def spec(*, broken: bool = False) -> dict[str, Any]:
    """Return a pipeline of three steps in KFP's words, with an exit handler around them."""
    names = {"examples": [], "statistics": ["examples"], "data-schema": ["statistics"]}
    tasks = {
        key: {
            "taskInfo": {"name": key.replace("-", "_")},
            "componentRef": {"name": f"comp-{key}"},
            **({"dependentTasks": above} if above else {}),
        }
        for key, above in sorted(names.items())
    }
    return {
        "pipelineInfo": {"name": "small"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "penstock-0.0",
        "deploymentSpec": {"executors": {f"exec-{key}": {"container": {"image": "i"}} for key in names}},
        "components": {f"comp-{key}": {"executorLabel": f"exec-{key}"} for key in names},
        "root": {
            "dag": {"tasks": {} if broken else tasks},
            "inputDefinitions": {"parameters": {"epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 2}}},
        },
    }


def compiled(**changes: Any) -> Compiled:
    settings: dict[str, Any] = {
        "name": "small",
        "target": "kubeflow",
        "root": "s3://bucket/small",
        "spec": spec(),
        "parameters": (Parameter("epochs", "NUMBER_INTEGER", 2),),
        "notes": (),
    }
    return Compiled(**(settings | changes))


@dataclass
class Desk:
    """A user's terminal with a project, and a server that it is pointed at."""

    project: Project
    file: Path
    server: KfpServer
    host: str
    monkeypatch: pytest.MonkeyPatch

    def compiles_to(self, pipeline: Compiled) -> None:
        self.monkeypatch.setattr("penstock.pipelines.cli.deploy.compile_in_worker", lambda loaded: pipeline)

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(app, list(args))

    def deploy(self, *args: str) -> Result:
        return self.run("deploy", str(self.file), "--host", self.host, *args)

    def refused(self, *args: str) -> PenstockError:
        """Return the error of a deployment that is refused; what it prints never holds the token."""
        answer = self.deploy(*args)
        assert isinstance(answer.exception, PenstockError), answer.output
        assert TOKEN not in answer.output + str(answer.exception) + repr(answer.exception.to_dict())
        return answer.exception


@pytest.fixture
def desk(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    home = project.folder / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("kfp.client.client.Client._LOCAL_KFP_CONTEXT", str(home / ".config/kfp/context.json"))
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT", "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(terminal, "follow", functools.partial(follow.follow, sleep=lambda seconds: None))
    server = KfpServer()
    with server.running() as host:
        desk = Desk(project, project.pipeline(STEPS, top=TOP), server, host, monkeypatch)
        desk.compiles_to(compiled())
        yield desk
    assert not (home / ".config").exists(), "something was written into the user's home"


@pytest.fixture
def token(desk: Desk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[str]:
    """The server wants a token; none is ever logged or printed."""
    caplog.set_level(logging.DEBUG)
    desk.server.token = TOKEN
    desk.monkeypatch.setenv("KFP_TOKEN", TOKEN)
    yield TOKEN
    out, err = capfd.readouterr()
    assert TOKEN not in caplog.text + out + err
