import threading

from penstock.serving.models.handle import Handle
from tests.serving.models.fakes import PATIENCE, FakeServable


def test_an_idle_version_retires_at_once_and_for_good():
    handle = Handle(FakeServable("m", 1))
    assert handle.acquire()
    handle.release()
    assert handle.retire()
    assert not handle.acquire()


def test_a_used_version_retires_after_its_last_use():
    handle, retired = Handle(FakeServable("m", 1)), threading.Event()

    def retire() -> None:
        assert handle.retire(PATIENCE)
        retired.set()

    assert handle.acquire()
    assert handle.acquire()
    thread = threading.Thread(target=retire)
    thread.start()
    handle.release()
    assert not retired.is_set()
    handle.release()
    assert retired.wait(PATIENCE)
    thread.join()


def test_who_cannot_wait_is_told_that_it_is_used():
    handle = Handle(FakeServable("m", 1))
    handle.acquire()
    assert not handle.retire(0.0)
    assert not handle.acquire()
