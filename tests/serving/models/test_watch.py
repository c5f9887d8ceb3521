"""A thread that looks again and again, whatever goes wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from penstock.errors import ConfigError
from penstock.serving.errors import Code, ServingError
from penstock.serving.models.watch import Watch
from tests.serving.models.fakes import PATIENCE


def _watch(look: Callable[[], object], ended: threading.Event | None = None) -> Watch:
    return Watch("watch", "cannot look", look, 0.001, ended or threading.Event())


class Looks:
    """Raises one error after the other, and tells when it has looked that often."""

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = list(errors)
        self.done = threading.Event()

    def __call__(self) -> None:
        if len(self._errors) == 1:
            self.done.set()
        if self._errors and (error := self._errors.pop(0)):
            raise error


@pytest.mark.parametrize(
    "error",
    [
        ServingError(Code.NOT_FOUND, "nothing there"),
        ConfigError("malformed"),
        OSError(116, "Stale file handle"),
        ValueError("embedded null byte"),
        MemoryError(),
    ],
)
def test_no_failure_ends_it(error: Exception):
    look, ended = Looks(error, error, None), threading.Event()
    watch = _watch(look, ended)
    watch.start()
    watch.start()
    assert look.done.wait(PATIENCE)
    ended.set()
    assert watch.join(PATIENCE)


def test_a_failure_is_logged_once_until_another_or_none(caplog: pytest.LogCaptureFixture):
    gone, full = ServingError(Code.NOT_FOUND, "gone"), ConfigError("full", where="x", hint="empty it")
    watch = _watch(Looks(gone, gone, full, full, gone, None, gone))
    for _ in range(7):
        watch.look()
    assert [record.getMessage() for record in caplog.records] == [
        "cannot look: gone",
        "cannot look: x: full\n  next: empty it",
        "cannot look: gone",
        "cannot look: gone",
    ]
    assert not any(record.exc_info for record in caplog.records)


def test_what_nobody_expected_has_its_traceback(caplog: pytest.LogCaptureFixture):
    watch = _watch(Looks(OSError(116, "Stale file handle"), OSError(116, "Stale file handle"), KeyError("x")))
    for _ in range(3):
        watch.look()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "cannot look: OSError: [Errno 116] Stale file handle"),
        (logging.ERROR, "cannot look: KeyError: 'x'"),
    ]
    assert all(record.exc_info for record in caplog.records)


def test_a_look_that_hangs_is_not_waited_for_longer_than_asked():
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    watch = _watch(hang, ended)
    watch.start()
    assert begun.wait(PATIENCE)
    ended.set()
    assert not watch.join(0)
    go_on.set()
    assert watch.join(PATIENCE)


def test_one_that_never_began_has_ended():
    assert _watch(Looks()).join(0)
