"""What a step says reaches whoever listens, from any thread."""

import logging
import threading
from pathlib import Path

import pytest

from penstock.reporting import log_file, note, reporting_to, status
from tests.recorder import Recorder


def test_without_a_listener_notes_are_logged_and_statuses_are_not(caplog):
    with caplog.at_level(logging.INFO):
        status("step 1/2")
        note("worker 1: 100 % ready")
    assert caplog.messages == ["worker 1: 100 % ready"]
    assert log_file() is None


def test_the_innermost_listener_hears(caplog):
    outer, inner = Recorder(), Recorder()
    with reporting_to(outer, Path("outer.log")):
        with reporting_to(inner, Path("inner.log")):
            status("one")
            note("two")
            assert log_file() == Path("inner.log")
        note("three")
        assert log_file() == Path("outer.log")
    assert (inner.statuses, inner.notes) == (["one"], ["two"])
    assert (outer.statuses, outer.notes) == ([], ["three"])
    assert caplog.messages == []


def test_threads_of_the_step_report_too():
    heard = Recorder()
    with reporting_to(heard):
        thread = threading.Thread(target=note, args=("from a thread",))
        thread.start()
        thread.join()
    assert heard.notes == ["from a thread"]


def test_a_listener_goes_when_the_step_fails():
    heard = Recorder()
    with pytest.raises(ValueError, match="no such column"), reporting_to(heard):
        raise ValueError("no such column")
    note("after")
    assert heard.notes == []
