"""Killed runs: the next one closes what was left, removes it, reuses what had finished and makes what is missing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.pipelines.runners.killing import runs
from tests.pipelines.runners.surviving import Killed, attack

KILLS = 12
"""``benchmarks.kill_runs`` does it 200 times."""


def test_runs_that_were_killed_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    folder = tmp_path / "project"
    folder.mkdir()
    with runs(tmp_path / "log") as forks:
        findings = attack(Killed(folder, forks), KILLS, random.Random(7))
    assert findings.wrong == []
    assert sum(count for how, count in findings.ended.items() if how.endswith(": killed")) >= KILLS // 2
