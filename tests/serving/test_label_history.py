"""Where labels pointed before."""

import pytest

from penstock.errors import EnvironmentProblem
from penstock.serving.label_history import history_file, moved, read_moves, record_move, version_before


@pytest.fixture
def config(tmp_path):
    return tmp_path / "models.config"


def move(config, before, after, label="stable", model="digits", kind="promote"):
    record_move(config, moved(model, label, before, after, kind))


def test_the_version_before_is_that_of_the_last_move(config):
    move(config, None, 1)
    move(config, 1, 2)
    move(config, 5, 6, label="canary")
    move(config, 8, 9, model="wine")
    assert version_before(config, "digits", "stable", 2) == 1
    assert version_before(config, "digits", "canary", 6) == 5
    assert [entry.after for entry in read_moves(config, "digits")] == [1, 2, 6]


def test_a_second_rollback_goes_further_back(config):
    move(config, None, 1)
    move(config, 1, 2)
    move(config, 2, 3)
    move(config, 3, 2, kind="rollback")
    assert version_before(config, "digits", "stable", 2) == 1
    move(config, 2, 1, kind="rollback")
    assert version_before(config, "digits", "stable", 1) is None
    move(config, 1, 3)
    assert version_before(config, "digits", "stable", 3) == 1


def test_after_a_move_that_nobody_recorded_it_is_the_last_one_known(config):
    move(config, 1, 2)
    assert version_before(config, "digits", "stable", 7) == 2


def test_nothing_is_known_of_a_first_version_or_without_a_history(config):
    assert version_before(config, "digits", "stable", 1) is None
    move(config, None, 1)
    assert version_before(config, "digits", "stable", 1) is None


@pytest.mark.parametrize("torn", [b'{"model": "dig', b'{"model": "digits"}\n', b"\xff\n"])
def test_a_line_that_a_killed_process_left_loses_itself_only(config, torn):
    move(config, 1, 2)
    with history_file(config).open("ab") as stream:
        stream.write(torn)
    move(config, 2, 3)
    assert [entry.after for entry in read_moves(config, "digits")] == [2, 3]


def test_a_history_that_cannot_be_used(config):
    history_file(config).mkdir()
    with pytest.raises(EnvironmentProblem, match="the history of labels cannot be written: Is a directory"):
        move(config, 1, 2)
    with pytest.raises(EnvironmentProblem, match="the history of labels cannot be read: Is a directory"):
        read_moves(config, "digits")
