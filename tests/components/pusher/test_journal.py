"""A push that was killed before anybody recorded it is taken up by the next attempt at the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.journal import Journal
from penstock.components.pusher.push import PushRequest, PushResult, push
from penstock.serving.versions import versions


def _push(model: Path, base: Path, journal: Journal, version: int | str = "next") -> PushResult:
    config = PusherConfig.model_validate({"destination": {"directory": str(base)}, "version": version})
    return push(PushRequest(model, config, journal=journal))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "pusher/.push.json", "one")


@pytest.mark.parametrize("version", ["next", 7])
def test_a_version_that_nobody_recorded_is_not_published_twice(
    model: Path, base: Path, gate: list[Path], journal: Journal, version: int | str
):
    first = _push(model, base, journal, version)
    again = _push(model, base, journal, version)
    assert (again.version, again.path, again.digest) == (first.version, first.path, first.digest)
    assert len(versions(base)) == len(gate) == 1


@pytest.mark.usefixtures("gate")
def test_a_recorded_push_is_done_again_when_it_is_asked_for(model: Path, base: Path, journal: Journal):
    _push(model, base, journal)
    journal.close()
    assert _push(model, base, journal).version == 2


@pytest.mark.usefixtures("gate")
def test_another_push_is_another_version(model: Path, base: Path, journal: Journal):
    _push(model, base, journal)
    assert _push(model, base, Journal(journal.file, "two")).version == 2


@pytest.mark.usefixtures("gate")
def test_a_version_that_was_there_before_is_not_taken_for_it(model: Path, base: Path, journal: Journal):
    _push(model, base, Journal(journal.file.with_name("other"), "two"))
    _push(model, base, journal)
    (base / "2").rename(base / "moved")
    assert _push(model, base, journal).version == 3


@pytest.mark.usefixtures("gate")
def test_a_push_that_published_nothing_leaves_nothing_to_take_up(model: Path, base: Path, journal: Journal):
    journal.noting(base, lambda staged: None)
    assert _push(model, base, journal).version == 1
