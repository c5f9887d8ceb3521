"""A full disk of the metadata store, or of the logs: told as such, nothing is lost, the next run goes on."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.pipelines.runners.killing import runs
from tests.pipelines.runners.surviving import Findings, Killed, small_disk

DISK = 4 << 20
LEFT = (0, 48 << 10, 90 << 10)
"""Bytes that are left when a run begins."""


@pytest.mark.parametrize(("folder", "told"), [("store", "the metadata store"), ("runs/logs", "the logs")])
def test_a_full_disk_is_told_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, told: str
):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    project = tmp_path / "project"
    (project / folder).parent.mkdir(parents=True)
    findings = Findings()
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(project / folder, DISK))
        except (subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f"no disk can be mounted here: {error}")
        forks = stack.enter_context(runs(tmp_path / "log"))
        killed = Killed(project, forks, "store/metadata.sqlite" if folder == "store" else "runs/metadata.sqlite")
        for left in LEFT:
            killed.fill_disk(disk, left, findings)
    assert findings.wrong == []
    assert any(f"no space is left on the disk of {told}" in text for text in findings.told)
