"""Runs the command as a user would: a process of its own, in a project of its own.

``penstock`` and ``run`` fork what imports TensorFlow from a process that has done so, see :mod:`tests.preloaded`;
``command`` and ``run_anew`` start everything as a shell does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.preloaded import PRELOADED

LONGEST = (
    "test_digits.py",
    "test_tflite.py",
    "test_trainer_failures.py",
    "test_kubeflow.py",
    "test_serving.py",
    "test_training.py",
    "test_quantize_aware.py",
    "test_stock.py",
    "test_tabular.py",
)
"""Modules that take a minute and more. They go first: one that came last would leave all other processes idle."""


HEAVY = frozenset(("run", "plan", "why", "compile", "deploy", "convert", "infer"))
"""Subcommands that import TensorFlow, in their own process or in their workers."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
    yield
    if all(item.get_closest_marker("e2e") for item in items):
        order = {name: number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: order.get(item.path.name, len(order)))


def penstock(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run ``penstock`` and return what it printed."""
    if arguments[0] not in HEAVY:
        return command(*arguments, cwd=cwd)
    return PRELOADED.run("penstock", *arguments, cwd=cwd)


def command(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run ``penstock`` in a process that imports everything itself, and return what it printed."""
    words = [sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


def run(file: Path | str, *options: str, expect: int = 0, cwd: Path = REPOSITORY) -> dict[str, Any]:
    """Run a pipeline and return what it reports as JSON."""
    return _reported(penstock("run", str(file), "--json", *options, cwd=cwd), expect)


def run_anew(file: Path | str, *options: str, expect: int = 0, cwd: Path = REPOSITORY) -> dict[str, Any]:
    """Do what :func:`run` does, with the command started as a shell does."""
    return _reported(command("run", str(file), "--json", *options, cwd=cwd), expect)


def _reported(ended: subprocess.CompletedProcess[str], expect: int) -> dict[str, Any]:
    assert ended.returncode == expect, ended.stdout + ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def states(report: dict[str, Any]) -> dict[str, str]:
    """Return step → state of a report."""
    return {step["name"]: step["state"] for step in report["steps"]}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits' shards in ``data``."""
    from examples.digits.data import main

    folder = tmp_path_factory.mktemp("digits")
    assert main([str(folder / "data")]) == 0
    return folder


@pytest.fixture(scope="module")
def options(digits: Path) -> list[str]:
    """Options that run a digits pipeline on these, in ``root`` beside them."""
    settings = {"root": digits / "root", "steps.examples.with.input_base": digits / "data"}
    return [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
