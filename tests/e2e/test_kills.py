"""Killed runs: the next one closes what was left, removes it, reuses what had finished and makes what is missing."""

from __future__ import annotations

import random
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.pipelines.runners.killing import runs
from tests.pipelines.runners.surviving import Findings, Killed, attack, small_disk

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


DISK = 24 << 20
LEFT = (0, 8 << 10, 40 << 10, 100 << 10, 200 << 10, 400 << 10)
"""Bytes that are left when a run begins; one writes about half a megabyte."""


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    findings = Findings()
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(small_disk(tmp_path / "project", DISK))
        except (subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f"no disk can be mounted here: {error}")
        forks = stack.enter_context(runs(tmp_path / "log"))
        killed = Killed(folder, forks)
        for left in LEFT:
            killed.fill_disk(folder, left, findings)
    assert findings.wrong == []
    assert findings.ended["disk: told"] >= 2
