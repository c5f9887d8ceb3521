from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from penstock.components.trainer.memory import free_memory


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 64 GB free, and no cgroup yet."""
    free = type("Memory", (), {"available": 64 * 10**9})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    (tmp_path / "memory").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 64 * 10**9),
        ({"memory.max": "2000000000\n", "memory.current": "500000000\n"}, 1_500_000_000),
        ({"memory.max": "max\n", "memory.current": "500000000\n"}, 64 * 10**9),
        ({"memory.max": "100\n", "memory.current": "500\n"}, 0),
        ({"memory/memory.limit_in_bytes": "3000\n", "memory/memory.usage_in_bytes": "1000\n"}, 2000),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "1\n"}, 64 * 10**9),
        ({"memory.max": "2000000000\n"}, 64 * 10**9),
    ],
)
def test_a_container_has_less_than_its_machine(cgroups: Path, files: dict[str, str], free: int) -> None:
    for name, text in files.items():
        (cgroups / name).write_text(text)
    assert free_memory(cgroups) == free


def test_this_machine_has_some() -> None:
    assert free_memory() > 0
