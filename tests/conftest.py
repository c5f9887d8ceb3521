"""Fixtures that several packages' tests share."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from penstock.pipelines.config import ConfigProblems, load
from penstock.pipelines.graph import Graph
from penstock.pipelines.resolve import resolve

# Speed belongs to benchmarks/: a slow machine must not fail a test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).parents[1]
_WITH_TENSORFLOW = {"components", "examples", "serving"}
"""Folders of tests that run TensorFlow in their own process."""
_FIRST = (
    "tests/components/trainer/test_resume.py",
    "tests/components/trainer/test_strategies_agree.py",
    "tests/components/trainer/test_keras_backend.py",
    "tests/components/trainer/test_quantize_aware.py",
    "tests/components/trainer/",
    "tests/e2e/test_digits.py",
    "tests/e2e/test_tflite.py",
    "tests/e2e/test_serving.py",
    "tests/e2e/test_trainer_failures.py",
    "tests/e2e/test_tabular.py",
    "tests/examples/test_stock.py",
    "tests/pipelines/test_dry_run.py",
    "tests/serving/",
)
"""What takes longest, in this order; begun last, one of them would keep one worker busy while the others are done."""
_TOGETHER = "tests/serving/conformance/"
"""A folder whose modules ask one server, so that one worker starts it."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a module on one worker, as ``--dist loadfile`` does, and the modules of one folder too."""
    from xdist.scheduler import LoadFileScheduling

    class ByFixtures(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return _TOGETHER if nodeid.startswith(_TOGETHER) else str(super()._split_scope(nodeid))

    return ByFixtures(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only whole runs are asked for, do not import the many modules that have none."""
    if config.getoption("markexpr") != "e2e" or collection_path.suffix != ".py" or collection_path.parent.name == "e2e":
        return None
    return "e2e" not in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; ``--no-loadscope-reorder`` keeps the order."""
    items.sort(
        key=lambda item: next((place for place, long in enumerate(_FIRST) if item.nodeid.startswith(long)), len(_FIRST))
    )


class Project:
    """A user's project in a temporary folder: files, a pipeline file, and what Penstock says about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("pyproject.toml", "")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pipeline(self, steps: str, *, top: str = "pipeline: p\nroot: runs\n") -> Path:
        return self.write("p.yaml", f"{top}steps:\n{steps}")

    def graph(self, steps: str, **kwargs: str) -> Graph:
        return resolve(load(self.pipeline(steps, **kwargs), environ={}))

    def problems(self, steps: str, **kwargs: str) -> str:
        with pytest.raises(ConfigProblems) as raised:
            self.graph(steps, **kwargs)
        return str(raised.value)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _keras_3(request: pytest.FixtureRequest) -> None:
    """tf.keras is chosen at its first use; a test that imports TensorFlow Transform first would choose Keras 2."""
    tests = Path(__file__).parent
    if _WITH_TENSORFLOW & {item.path.relative_to(tests).parts[0] for item in request.session.items}:
        os.environ.pop("TF_USE_LEGACY_KERAS", None)
        import tensorflow as tf

        assert tf.keras.Model.__module__.startswith("keras."), tf.keras.Model.__module__
        # Out of the collector's sight: half a million objects of modules, which are never garbage, would be looked at
        # by each full collection, and whatever test it falls into waits for that.
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def _no_keras_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow Transform sets the switch for Keras 2 when a test imports it, and commands started here inherit it."""
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
