from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator

import pytest

from penstock.components.trainer.cluster.reporting import (
    _PERIOD_SECONDS,
    ReportReader,
    relay,
    reporter_from_environment,
)
from penstock.components.trainer.cluster.topology import Task
from penstock.reporting import LogSink, Sink, reporting_to
from tests.components.trainer.cluster.tasks import wait_until


class Channel:
    """Both ends of a task's pipe in one process."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.environ = {"PENSTOCK_REPORT_FD": str(self.write_end)}
        self.reader = ReportReader(self.read_end)

    def sink(self) -> Sink:
        return reporter_from_environment(self.environ)

    def read(self) -> list[tuple[str, str]]:
        return list(self.reader.messages())


@pytest.fixture
def channel() -> Iterator[Channel]:
    channel = Channel()
    yield channel
    os.close(channel.read_end)
    os.close(channel.write_end)


class TestNotes:
    def test_arrive_at_once_line_by_line(self, channel: Channel) -> None:
        sink = channel.sink()
        sink.note("one\ntwo")
        sink.note("drei: größer 3️⃣")
        assert channel.read() == [("note", "one"), ("note", "two"), ("note", "drei: größer 3️⃣")]

    def test_are_logged_too(self, channel: Channel, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            channel.sink().note("epoch 1")
        assert [record.message for record in caplog.records] == ["epoch 1"]

    def test_text_that_is_no_unicode(self, channel: Channel) -> None:
        channel.sink().note("caf\udce9")
        assert channel.read() == [("note", "caf?")]

    def test_without_a_reader_nothing_is_raised(self) -> None:
        read_end, write_end = os.pipe()
        sink = reporter_from_environment({"PENSTOCK_REPORT_FD": str(write_end)})
        os.close(read_end)
        sink.note("nobody is there")
        os.close(write_end)


class TestStatuses:
    def test_the_last_one_arrives(self, channel: Channel) -> None:
        began = time.monotonic()
        sink = channel.sink()
        for step in range(10_000):
            sink.status(f"step\n{step}")
        seen: list[tuple[str, str]] = []

        def last_one_is_there() -> bool:
            seen.extend(channel.read())
            return seen[-1:] == [("status", "step 9999")]

        wait_until(last_one_is_there)
        assert len(seen) <= (time.monotonic() - began) / _PERIOD_SECONDS + 1


class TestReader:
    def test_half_a_line_waits_for_the_rest(self, channel: Channel) -> None:
        os.write(channel.write_end, b"note on")
        assert channel.read() == []
        os.write(channel.write_end, b"e\nstatus")
        assert channel.read() == [("note", "one")]
        assert not channel.reader.ended

    def test_the_end(self) -> None:
        read_end, write_end = os.pipe()
        reader = ReportReader(read_end)
        os.write(write_end, b"note last\nnote hal")
        os.close(write_end)
        assert list(reader.messages()) == [("note", "last")]
        assert reader.ended
        assert list(reader.messages()) == []
        os.close(read_end)


def test_a_process_that_nobody_listens_to() -> None:
    assert isinstance(reporter_from_environment({}), LogSink)


def test_children_of_a_task_do_not_inherit_the_pipe(channel: Channel) -> None:
    fcntl.fcntl(channel.write_end, fcntl.F_SETFD, 0)
    channel.sink()
    assert not os.get_inheritable(channel.write_end)
    assert channel.environ == {}


def test_relay() -> None:
    seen: list[tuple[str, str]] = []

    class Recorder:
        def status(self, text: str) -> None:
            seen.append(("status", text))

        def note(self, text: str) -> None:
            seen.append(("note", text))

    with reporting_to(Recorder()):
        for index in (0, 1):
            relay(Task("worker", index), "note", "epoch 1")
            relay(Task("worker", index), "status", "step 2")
    assert seen == [("note", "worker 0: epoch 1"), ("status", "worker 0: step 2"), ("note", "worker 1: epoch 1")]
