"""A push that is killed, or finds the disk full, at any of its writes, flushes and renames.

``benchmarks/kill_pusher.py`` does the same a thousand times, and kills from outside as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.flatbuffers import Flatbuffer
from penstock.serving.manifest import verify
from penstock.serving.versions import versions
from tests.components.pusher.faults import Forks, forks
from tests.components.pusher.racing import race
from tests.components.pusher.reader import Reader
from tests.components.pusher.whole import push_config, require_whole


@pytest.fixture(scope="module")
def forking() -> Iterator[Forks]:
    with forks() as started:
        yield started


def test_a_push_passes_many_points(forking: Forks, saved_model: Path, base: Path):
    outcome = forking.push(saved_model, push_config(base))
    assert (outcome.error, outcome.killed, outcome.version) == (None, False, 1)
    assert outcome.points > 40


@pytest.mark.parametrize("fault", ["kill", "full disk"])
def test_no_point_shows_half_a_version(forking: Forks, saved_model: Path, base: Path, fault: Any):
    for _ in range(3):  # So that there is a label to keep, one to move, and a version to remove.
        assert forking.push(saved_model, push_config(base)).version
    ended = 0
    with Reader(base) as reader:
        for at in range(1000):
            outcome = forking.push(saved_model, push_config(base), fault, at)
            require_whole(base)
            if outcome.killed or outcome.error is not None:
                ended += 1
                assert outcome.killed == (fault == "kill"), outcome
                assert outcome.error is None or "No space left on device" in outcome.error
                assert forking.push(saved_model, push_config(base)).version, "the next push must not suffer"
            if outcome.points <= at:
                break
    assert reader.complaints == []
    assert ended > 25
    assert reader.loaded >= set(versions(base))
    if fault == "full disk":
        assert [child.name for child in base.iterdir() if child.name.startswith(".staging-")] == []


@pytest.mark.parametrize("fault", ["kill", "full disk"])
def test_no_point_shows_half_a_version_of_flatbuffers(
    forking: Forks, flatbuffers: tuple[Flatbuffer, ...], base: Path, fault: Any
):
    config = {"destination": {"tflite_directory": str(base)}, "keep_versions": 2}
    folder = flatbuffers[0].folder.parent
    for _ in range(3):
        assert forking.push(folder, config).version
    ended = 0
    for at in range(1000):
        outcome = forking.push(folder, config, fault, at)
        for name in versions(base).values():
            verify(base / name)
        if outcome.killed or outcome.error is not None:
            ended += 1
            assert outcome.killed == (fault == "kill"), outcome
            assert outcome.error is None or "No space left on device" in outcome.error
            assert forking.push(folder, config).version, "the next push must not suffer"
        if outcome.points <= at:
            break
    assert ended > 15


def test_of_16_processes_one_wins_each_version_and_the_others_are_told(saved_model: Path, base: Path):
    result = race(saved_model, base, 16, 25)
    assert result.others == []
    assert result.winners == dict.fromkeys(range(1, 26), 1)
    assert result.told == dict.fromkeys(range(1, 26), 15)
    assert sorted(child.name for child in base.iterdir()) == sorted([".penstock-versions", *map(str, range(1, 26))])
    for version in range(1, 26):
        verify(base / str(version))
