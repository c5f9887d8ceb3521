"""Each bad row of a batch costs itself only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.components.batch_inference.ahead import in_order
from penstock.components.batch_inference.bisect import Refused, bisect, cause_of
from penstock.components.batch_inference.scoring.sizing import BatchSizer


@given(st.integers(0, 60), st.sets(st.integers(0, 59)))
def test_good_rows_come_in_order_and_bad_ones_with_their_cause(rows, bad):
    bad = {row for row in bad if row < rows}

    def ask(start, stop):
        if inside := [row for row in range(start, stop) if row in bad]:
            raise Refused(f"row {inside[0]}")
        return list(range(start, stop))

    found = bisect(ask, rows)
    assert [row for _, _, part in found.parts for row in part] == [row for row in range(rows) if row not in bad]
    assert found.bad == tuple((row, f"row {row}") for row in sorted(bad))


def test_one_bad_row_costs_few_questions():
    asked = []

    def ask(start, stop):
        asked.append((start, stop))
        if start <= 1234 < stop:
            raise Refused("bad")

    bisect(ask, 4096)
    assert len(asked) == 25


def test_other_errors_are_not_about_rows():
    with pytest.raises(ZeroDivisionError):
        bisect(lambda start, stop: start / 0, 10)


@pytest.mark.parametrize("row", [b"abc", b"\xff\xff", b"two\nlines"])
def test_a_cause_does_not_quote_the_row(row: bytes):
    message = b"Could not parse example input, value: '" + row + b"'"
    try:
        error: Exception = ValueError(message.decode())
    except UnicodeDecodeError as undecodable:
        error = undecodable
    assert cause_of(error) == "Could not parse example input"


def test_results_come_in_order_whatever_takes_longer():
    import threading

    second_done = threading.Event()

    def work(item):
        if item == 0:
            assert second_done.wait(60)
        if item == 1:
            second_done.set()
        return item * 2

    assert list(in_order(work, range(10), threads=2)) == [item * 2 for item in range(10)]


def test_items_are_taken_as_results_are_used():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(lambda item: item, items(), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 6
    results.close()


def test_an_error_comes_in_its_place():
    results = in_order(lambda item: 1 // (2 - item), range(5), threads=1)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def _settled(most, seconds_of):
    sizer = BatchSizer(most)
    for _ in range(100):
        sizer.timed(sizer.size, seconds_of(sizer.size))
    return sizer.size


def test_batches_grow_as_long_as_that_pays():
    assert _settled(4096, lambda rows: 0.001 + rows * 1e-6) == 4096
    assert _settled(1 << 20, lambda rows: 0.001 + rows * 1e-6) == 16384
    assert _settled(4096, lambda rows: rows * 1e-6) == 256
    assert _settled(4096, lambda rows: 0.001 if rows <= 512 else 1.0) == 512
    assert _settled(3000, lambda rows: 0.001) == 3000
    assert _settled(100, lambda rows: rows * 1e-6) == 100


def test_a_batch_that_is_too_large_halves_the_size():
    sizer = BatchSizer(4096)
    sizer.too_large()
    sizer.timed(128, 1e-9)
    assert sizer.size == 128


def test_batches_of_another_size_are_no_measure():
    sizer = BatchSizer(4096)
    for _ in range(10):
        sizer.timed(17, 1e-9)
    assert sizer.size == 256
