"""Tables in a pipe, times and durations."""

import pytest

from penstock.pipelines.cli.tables import plain_table, print_table
from penstock.pipelines.moments import duration


def test_columns_are_aligned_and_nothing_is_cut():
    rows = [("a", "1.5", ""), ("a-long-name" * 10, "12.0", "x")]
    assert plain_table(("step", "seconds", "note"), rows, right=("seconds",)) == [
        f"{'step':<110}  seconds  note",
        f"{'a':<110}      1.5",
        f"{'a-long-name' * 10}     12.0  x",
    ]


def test_a_column_without_cells_is_left_out(capsys):
    print_table(("a", "b"), [("1", ""), ("2", "")])
    assert capsys.readouterr().out == "a\n1\n2\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (125.7, "2 min 5 s"),
        (3600, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
