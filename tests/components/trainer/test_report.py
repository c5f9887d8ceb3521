from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer import report as report_module
from penstock.components.trainer.predict_gate import SignatureCheck
from penstock.components.trainer.report import (
    Course,
    SourceState,
    Speed,
    SplitFacts,
    TrainingReport,
    library_versions,
    properties,
    source_state,
    write_report,
)
from penstock.components.trainer.verdict import Shares, Verdict
from penstock.version import __version__


def report(**changes: Any) -> TrainingReport:
    speed: dict[str, Any] = {
        "verdict": Verdict("input-bound", "input-bound: 71 % …", Shares(0.71, 0.29, None)),
        "wall_seconds": 1.5,
        "examples_per_second": 6000.0,
        "examples_per_second_with_validation": 4096.0,
        "steps_per_execution": 10,
        "bytes_per_all_reduce": 19240,
        "all_reduce_seconds": 0.0002,
    }
    course: dict[str, Any] = {"epochs": 3, "steps": 48, "final_metrics": {"loss": 0.25, "accuracy": 0.5}}
    given: dict[str, Any] = {
        "model_fn": "digits.model.build",
        "label": "digit",
        "parameters": 4810,
        "hparams": {"units": 64, "rate": 0.1},
        "seed": 7,
        "keras": "keras",
        "precision": "float32",
        "quantize_aware": False,
        "strategy": {"name": "mirrored", "devices": ["cpu:0", "cpu:1"], "cross_device_ops": "auto"},
        "workers": 1,
        "replicas": 2,
        "global_batch_size": 128,
        "signatures": (SignatureCheck("predict", 64, 0.0),),
        "versions": {"penstock": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"},
        "source": SourceState("a" * 40, dirty=True),
    }
    for part in (speed, course):
        part |= {name: changes.pop(name) for name in part.keys() & changes.keys()}
    return TrainingReport(speed=Speed(**speed), course=Course(**course), **{**given, **changes})


def written(folder: Path, name: str = "training_report.json") -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"not strict JSON: {constant}")

    return json.loads((folder / name).read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "model_run" / "1"
    write_report(folder, {"val_loss": [0.5, 0.25], "loss": [1.0, 0.75]}, report())
    assert sorted(path.name for path in folder.iterdir()) == ["history.json", "training_report.json"]
    assert (folder / "history.json").read_text() == json.dumps(
        {"loss": [1.0, 0.75], "val_loss": [0.5, 0.25]}, indent=2
    ) + "\n"
    found = written(folder)
    assert list(found) == [field.name for field in dataclasses.fields(TrainingReport)]
    assert found["speed"]["verdict"] == {
        "name": "input-bound",
        "line": "input-bound: 71 % …",
        "shares": {"input": 0.71, "compute": 0.29, "synchronise": None},
    }
    assert found["signatures"] == [{"signature": "predict", "rows": 64, "largest_difference": 0.0, "not_checked": None}]
    assert found["source"] == {"commit": "a" * 40, "dirty": True}
    assert found["course"] == {
        "epochs": 3,
        "steps": 48,
        "final_metrics": {"accuracy": 0.5, "loss": 0.25},
        "best_epoch": None,
        "stopped_early": False,
        "rows_left_out": 0,
        "resumed_from_step": None,
    }


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    write_report(tmp_path / "a", {}, report(hparams={"b": {"d": 1, "c": [1, 2]}, "a": 1}))
    write_report(tmp_path / "b", {}, report(hparams={"a": 1, "b": {"c": [1, 2], "d": 1}}))
    one, other = ((tmp_path / name / "training_report.json").read_bytes() for name in "ab")
    assert one == other


def test_what_is_no_number_stays_what_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = {"val_auc": [0.5, math.nan], "loss": [math.inf, -math.inf]}
    write_report(tmp_path, history, report(final_metrics={"loss": 0.5, "val_auc": math.nan}))
    assert written(tmp_path, "history.json") == {"loss": ["Infinity", "-Infinity"], "val_auc": [0.5, "NaN"]}
    assert written(tmp_path)["course"]["final_metrics"] == {"loss": 0.5, "val_auc": "NaN"}
    assert caplog.record_tuples == [
        (
            "penstock.components.trainer.report",
            logging.WARNING,
            "history.json: JSON has no NaN and no infinity; as text: loss[0], loss[1], val_auc[1]",
        ),
        (
            "penstock.components.trainer.report",
            logging.WARNING,
            "training_report.json: JSON has no NaN and no infinity; as text: course.final_metrics.val_auc",
        ),
    ]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_report(tmp_path, {}, report())
    before = (tmp_path / "training_report.json").read_bytes()
    with pytest.raises(TypeError, match="Object of type PosixPath is not JSON serializable"):
        write_report(tmp_path, {}, report(hparams={"path": tmp_path}))
    assert (tmp_path / "training_report.json").read_bytes() == before


def test_properties_of_the_model() -> None:
    assert properties(report()) == {
        "strategy": "mirrored",
        "strategy_options": '{"cross_device_ops": "auto", "devices": ["cpu:0", "cpu:1"]}',
        "workers": 1,
        "replicas": 2,
        "global_batch_size": 128,
        "precision": "float32",
        "quantize_aware": 0,
        "keras": "keras",
        "label": "digit",
        "keras_version": "3.15.1",
        "tensorflow_version": "2.21.0",
        "penstock_version": "0.1.0",
        "hparams": '{"rate": 0.1, "units": 64}',
        "seed": 7,
        "parameters": 4810,
        "epochs": 3,
        "steps": 48,
        "wall_seconds": 1.5,
        "examples_per_second": 6000.0,
        "verdict": "input-bound",
        "commit": "a" * 40,
        "dirty": 1,
        "loss": 0.25,
        "accuracy": 0.5,
    }


def test_the_rows_of_the_splits_are_properties() -> None:
    found = properties(report(data={"train": SplitFacts(1437, "94"), "eval": SplitFacts(360, "f5")}))
    names = ("train_rows", "train_fingerprint", "eval_rows", "eval_fingerprint")
    assert [found[name] for name in names] == [1437, "94", 360, "f5"]


def test_what_there_is_not_is_no_property() -> None:
    found = properties(report(epochs=None, source=None))
    assert {"epochs", "commit", "dirty"}.isdisjoint(found)


def test_keras_2_has_the_same_property() -> None:
    assert properties(report(keras="tf_keras", versions={"tf_keras": "2.21.0"}))["keras_version"] == "2.21.0"


def test_metrics_never_replace_other_properties() -> None:
    metrics = {"steps": 0.5, "epochs": 0.75, "name": 0.25, "loss": 1.0}
    found = properties(report(final_metrics=metrics, epochs=None))
    assert (found["steps"], found["metric_steps"], found["metric_epochs"]) == (48, 0.5, 0.75)
    assert (found["metric_name"], found["loss"]) == (0.25, 1.0)
    assert "epochs" not in found


def test_every_property_can_be_stored(tmp_path: Path) -> None:
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    connection.sqlite.connection_mode = connection.sqlite.READWRITE_OPENCREATE
    store = metadata_store.MetadataStore(connection)
    model = metadata_store_pb2.Artifact(type_id=store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model")))
    given = properties(report(final_metrics={"loss": 0.5, "val_auc": math.nan, "val_f1": math.inf}))
    fields = {str: "string_value", int: "int_value", float: "double_value"}
    for name, value in given.items():
        setattr(model.custom_properties[name], fields[type(value)], value)
    (number,) = store.put_artifacts([model])
    (stored,) = store.get_artifacts_by_id([number])
    found = {name: getattr(value, value.WhichOneof("value")) for name, value in stored.custom_properties.items()}
    assert found == given
    assert (found["val_auc"], found["val_f1"]) == ("NaN", "Infinity")


@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_library_versions(keras: str) -> None:
    assert library_versions(keras) == {
        "penstock": __version__,
        "python": platform.python_version(),
        "tensorflow": metadata.version("tensorflow"),
        keras: metadata.version(keras),
        "tfx": metadata.version("tfx"),
    }


def test_the_library_of_a_quantization_aware_training_has_its_version_too() -> None:
    package = "tensorflow-model-optimization"
    found = library_versions("tf_keras", quantize_aware=True)
    assert found == {**library_versions("tf_keras"), package: metadata.version(package)}


def test_a_library_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    assert list(library_versions("keras")) == ["penstock", "python"]


class Repository:
    """A git repository of a user's project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        me = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
        command = ["git", *me, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        (self.folder / "model.py").write_text("units = 1\n")
        self.git("add", "model.py")
        self.git("commit", "--quiet", "--no-verify", "-m", "a model")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    # A hook that runs the tests has told git which repository it is in.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "project"
    folder.mkdir()
    return Repository(folder)


def test_the_commit_of_the_project(repository: Repository) -> None:
    commit = repository.commit()
    inside = repository.folder / "runs"
    inside.mkdir()
    (inside / "output.txt").write_text("what git does not know makes nothing dirty")
    assert source_state(inside) == SourceState(commit, dirty=False)
    (repository.folder / "model.py").write_text("units = 2\n")
    assert source_state(inside) == SourceState(commit, dirty=True)
    repository.git("add", "model.py")
    assert source_state(inside) == SourceState(commit, dirty=True)


def test_asking_for_the_commit_changes_nothing(repository: Repository) -> None:
    repository.commit()
    index = repository.folder / ".git" / "index"
    os.utime(repository.folder / "model.py", (0, 0))
    before = index.read_bytes()
    assert source_state(repository.folder) is not None
    assert index.read_bytes() == before


def test_a_repository_without_a_commit(repository: Repository) -> None:
    assert source_state(repository.folder) is None


def test_no_repository(repository: Repository) -> None:
    shutil.rmtree(repository.folder / ".git")
    assert source_state(repository.folder) is None
    assert source_state(repository.folder / "missing") is None


def test_no_git(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit()
    monkeypatch.setenv("PATH", str(repository.folder))
    assert source_state(repository.folder) is None


def test_a_git_that_hangs(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit()
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(report_module, "_GIT_SECONDS", 0.05)
    assert source_state(repository.folder) is None
