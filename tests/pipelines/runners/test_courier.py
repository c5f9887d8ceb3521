"""The courier: every note, the last status, a few messages a second, and never in the step's way."""

import multiprocessing
import time

import pytest

from penstock.pipelines.runners.courier import PERIOD_SECONDS, Courier


@pytest.fixture
def pipe():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with receiver, sender:
        yield receiver, sender


def received(receiver):
    messages = []
    while receiver.poll():
        messages.append(receiver.recv())
    return messages


def test_all_notes_and_the_last_status_lie_before_what_follows(pipe):
    receiver, sender = pipe
    with Courier(sender) as courier:
        for number in range(3):
            courier.note(f"note {number}")
            courier.status(f"status {number}")
    sender.send(("result", None))
    notes = [("note", f"note {number}") for number in range(3)]
    assert received(receiver) == [*notes, ("status", "status 2"), ("result", None)]


def test_the_last_status_of_a_burst_is_sent_while_the_step_goes_on(pipe):
    receiver, sender = pipe
    with Courier(sender) as courier:
        courier.status("step 575/575")
        assert receiver.recv() == ("status", "step 575/575")
        for text in ("a", "b", "validating"):
            courier.status(text)
        # Those before the last one may be sent too, where a period ends between them.
        sent = [receiver.recv()]
        while sent[-1] in (("status", "a"), ("status", "b")):
            sent.append(receiver.recv())
        assert sent[-1] == ("status", "validating")


def test_a_hot_loop_sends_a_few_a_second(pipe):
    receiver, sender = pipe
    started = time.monotonic()
    with Courier(sender) as courier:
        number = 0
        while time.monotonic() < started + 3 * PERIOD_SECONDS:
            number += 1
            courier.status(str(number))
    messages = received(receiver)
    assert messages[-1] == ("status", str(number))
    assert len(messages) <= (time.monotonic() - started) / PERIOD_SECONDS + 1


def test_the_same_status_is_sent_once(pipe):
    receiver, sender = pipe
    with Courier(sender) as courier:
        courier.status("exporting")
        assert receiver.recv() == ("status", "exporting")
        courier.status("exporting")
    assert received(receiver) == []


def test_a_step_does_not_wait_for_a_command_that_does_not_read(pipe):
    receiver, sender = pipe
    with Courier(sender) as courier:
        courier.note("x" * (1 << 20))
        time.sleep(2 * PERIOD_SECONDS)
        # Nobody has read anything: a step that waited would wait here for ever.
        courier.note("after")
        courier.status("after")
        assert [len(receiver.recv()[1]), *(receiver.recv() for _ in range(2))] == [
            1 << 20,
            ("note", "after"),
            ("status", "after"),
        ]


def test_a_step_outlives_its_listener(pipe, caplog):
    receiver, sender = pipe
    receiver.close()
    caplog.set_level("INFO")
    with Courier(sender) as courier:
        courier.note("first")
        time.sleep(2 * PERIOD_SECONDS)
        courier.note("second")
        courier.status("going on")
    assert caplog.messages == ["first", "second"]
