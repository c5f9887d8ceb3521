"""Promotions and rollbacks as a whole: one after the other, and with writes that fail."""

import errno
import os

import pytest

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.models.change import Wish, change_label
from penstock.pipelines.models.find import find_model
from penstock.serving.label_history import history_file, read_moves
from penstock.serving.model_config import ModelsFile
from penstock.serving.places import changing
from tests.pipelines.models.pushed import configure, push


def change(model, kind, version, *, label="stable", timeout=120.0):
    done = change_label(model, Wish(kind, label, version), grpc=None, timeout=timeout, say=lambda _line: None)
    return done.moved


def digits(config):
    (entry,) = ModelsFile(config).read()
    return entry.policy.versions, dict(entry.labels)


class Disk:
    """Refuses one of the flushes and renames that a change makes; the others pass."""

    def __init__(self, monkeypatch, at):
        self.points = 0
        self._at = at
        for name in ("fsync", "replace"):
            monkeypatch.setattr(os, name, self._before(getattr(os, name)))

    def _before(self, function):
        def passing(*arguments, **options):
            self.points += 1
            if self.points - 1 == self._at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **options)

        return passing


def attempt(kind, version, at, monkeypatch):
    """Return whether the change came to the point, what it moved, and what it failed with."""
    with monkeypatch.context() as patched:
        disk = Disk(patched, at)
        try:
            moved, error = change(find_model("digits"), kind, version), None
        except EnvironmentProblem as problem:
            moved, error = None, problem
    return disk.points > at, moved, error


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("there", [("promote", 1, 2), ("rollback", 2, 1)])
def test_each_write_fails_once(base, server, running, monkeypatch, there, served):
    """Whatever cannot be written, file and server agree: on the state of before, or on the one that was reached."""
    kind, before, after = there
    config = configure(base, before, stable=before)
    if served:
        running()
    failed = []
    for at in range(100):
        configure(base, before, stable=before)
        server.entries = ModelsFile(config).read()
        reached, moved, error = attempt(kind, after, at, monkeypatch)
        if error is not None:
            failed.append(at)
            assert "No space left on device" in str(error)
            assert digits(config) == ((before,), {"stable": before})
        elif moved.problem is None:
            assert digits(config) == ((after,), {"stable": after})
        else:
            assert digits(config)[1] == {"stable": after}
        if served:
            assert digits(config)[1] == dict(server.entries[0].labels)
        if not reached:
            break
    # Both files are flushed and renamed, and their folder is flushed, before the label has moved.
    assert failed == list(range(6 if served else 3))


def test_a_history_that_cannot_be_written_is_told(base, config):
    history_file(config).mkdir()
    wish = Wish("promote", "stable", 2)
    done = change_label(find_model("digits"), wish, grpc=None, timeout=120, say=lambda _line: None)
    assert digits(config) == ((2,), {"stable": 2})
    assert any(
        note.startswith(f"{history_file(config)}: the history of labels cannot be written") for note in done.notes
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(base, config):
    base.parent.chmod(0o555)
    try:
        with pytest.raises(EnvironmentProblem, match="Permission denied"):
            change(find_model("digits"), "promote", 2)
    finally:
        base.parent.chmod(0o755)
    assert digits(config) == ((1, 2), {"stable": 1})


def test_another_change_of_the_config_is_waited_for(config):
    with changing(config, 60), pytest.raises(EnvironmentProblem, match=r"has been changing the config for 0\.1 s"):
        change(find_model("digits"), "promote", 2, timeout=0.1)


def test_what_another_change_did_meanwhile_counts(base, config):
    push(base, 3)
    read_too_early = find_model("digits")
    change(find_model("digits"), "promote", 2)
    assert change(read_too_early, "promote", 3).before == 2
    assert change(read_too_early, "rollback", None).after == 2
    assert [(move.before, move.after) for move in read_moves(config, "digits")] == [(1, 2), (2, 3), (3, 2)]


def test_one_rollback_after_the_other_walks_back(base, config):
    push(base, 3)
    change(find_model("digits"), "promote", 2)
    change(find_model("digits"), "promote", 3)
    assert [change(find_model("digits"), "rollback", None).after for _ in range(2)] == [2, 1]
    with pytest.raises(ConfigError, match="'stable' of digits has never pointed elsewhere than to version 1"):
        change(find_model("digits"), "rollback", None)
