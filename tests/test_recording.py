from __future__ import annotations

import pytest

from penstock.recording import recording, when_recorded


def test_without_a_runner_it_is_done_at_once() -> None:
    done: list[str] = []
    when_recorded(lambda: done.append("now"))
    assert done == ["now"]


def test_with_a_runner_it_waits_for_the_record() -> None:
    done: list[str] = []
    with recording():
        when_recorded(lambda: done.append("first"))
        when_recorded(lambda: done.append("second"))
        assert done == []
    assert done == ["first", "second"]


def test_of_a_step_that_fails_it_is_never_done() -> None:
    done: list[str] = []

    def fail() -> None:
        with recording():
            when_recorded(lambda: done.append("never"))
            raise KeyError("the step")

    with pytest.raises(KeyError, match="the step"):
        fail()
    with recording():
        pass
    assert done == []
