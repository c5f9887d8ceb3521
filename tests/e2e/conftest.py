"""Runs the command as a user would: a process of its own, in a project of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def penstock(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run ``penstock`` and return what it printed."""
    command = [sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def run(file: Path | str, *options: str, expect: int = 0, cwd: Path = REPOSITORY) -> dict[str, Any]:
    """Run a pipeline and return what it reports as JSON."""
    ended = penstock("run", str(file), "--json", *options, cwd=cwd)
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
