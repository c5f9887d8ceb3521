from __future__ import annotations

from functools import cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = 30


@cache
def stream(*, window: int, used: int = ROWS, seed: int = 1, start: int = 0, end: int | None = 60) -> list[int]:
    import tensorflow as tf

    from penstock.components.trainer.row_stream import Source, row_stream

    source = Source(lambda _seed: tf.data.Dataset.range(ROWS).batch(4), ROWS, window)
    blocks = row_stream(source, seed=seed, used=used, start=start, end=end)
    return [row for block in blocks for row in block.numpy().tolist()]


def test_every_pass_has_every_row_in_another_order() -> None:
    rows = stream(window=8)
    first, second = rows[:ROWS], rows[ROWS:]
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != second
    assert stream(window=8) == rows != stream(window=8, seed=2)


def test_without_a_window_the_order_stays() -> None:
    assert stream(window=0, end=ROWS + 2) == [*range(ROWS), 0, 1]


def test_a_window_of_all_rows_shuffles_all_together() -> None:
    rows = [stream(window=ROWS, seed=seed, end=ROWS) for seed in range(8)]
    assert len({tuple(order) for order in rows}) == 8
    assert min(order[0] for order in rows) < 5
    assert max(order[0] for order in rows) > 24


def test_windows_begin_elsewhere_in_each_pass() -> None:
    rows = stream(window=10, end=ROWS * 6)
    passes = [rows[at : at + ROWS] for at in range(0, len(rows), ROWS)]
    # A row stays in its window, so the rows that came before each boundary are those with smaller numbers.
    boundaries = {tuple(at for at in range(1, ROWS) if max(order[:at]) < min(order[at:])) for order in passes}
    assert len(boundaries) > 2
    assert all(after - before <= 10 for found in boundaries for before, after in pairwise((0, *found, ROWS)))


@settings(max_examples=15)
@given(
    window=st.sampled_from([0, 1, 7, 30, 100]),
    used=st.integers(ROWS - 5, ROWS),
    start=st.integers(0, 3 * ROWS),
    length=st.integers(0, ROWS),
)
def test_a_stream_may_begin_and_leave_out_anywhere(window: int, used: int, start: int, length: int) -> None:
    whole = stream(window=window, end=5 * ROWS)
    passes = [whole[at : at + ROWS][:used] for at in range(0, len(whole), ROWS)]
    wanted = [row for order in passes for row in order][start : start + length]
    assert stream(window=window, used=used, start=start, end=start + length) == wanted


def test_blocks_of_large_rows_are_small() -> None:
    from penstock.components.trainer.row_stream import rows_of_block

    assert [rows_of_block(row_bytes) for row_bytes in (0, 100, 4096, 10**6, 10**9)] == [1024, 1024, 256, 1, 1]


def test_the_size_of_a_row_counts_what_is_known() -> None:
    import tensorflow as tf

    from penstock.components.trainer.row_stream import bytes_of_row

    image, text = tf.TensorSpec([None, 28, 28], tf.float32), tf.TensorSpec([None], tf.string)
    assert bytes_of_row(({"image": image, "text": text}, tf.TensorSpec([None, 1], tf.int64))) == 28 * 28 * 4 + 64 + 8
    assert bytes_of_row(tf.RaggedTensorSpec([None, None, 3], tf.int32)) == 12
