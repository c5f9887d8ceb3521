"""Tables in a pipe, times and durations."""

import re
import sys

import pytest

from penstock.pipelines.cli.tables import plain_table, print_table, shortened
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


COLUMNS = ("run", "state", "started", "steps", "version", "metric")
ROW = ("20261130-130854-168", "complete", "2026-11-30 13:09:22", "5 cached, 4 ran", "digits/2", "0.96 sparse_accuracy")


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Return what a terminal of so many columns shows, its lines without colours."""

    def show(width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_table(COLUMNS, [ROW, ROW], spare=("started",))
        lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
        assert max(map(len, lines)) <= width
        return lines

    return show


def test_a_wide_terminal_shows_everything(terminal):
    lines = terminal(140)
    assert [line.split() for line in (lines[0], lines[2])] == [list(COLUMNS), " ".join(ROW).split()]


@pytest.mark.parametrize("width", [100, 80])
def test_ids_are_never_cut(terminal, width):
    lines = terminal(width)
    assert ("started" in lines[0]) == (width == 100)
    assert lines[2].startswith(f"{ROW[0]}   complete")
    assert "digits/2" in lines[2]


def test_a_narrow_terminal_shows_blocks(terminal):
    assert terminal(50)[:7] == [
        f"run      {ROW[0]}",
        "state    complete",
        "steps    5 cached, 4 ran",
        "version  digits/2",
        "metric   0.96 sparse_accuracy",
        "",
        f"run      {ROW[0]}",
    ]


@pytest.mark.parametrize(
    ("text", "other", "shown"),
    [
        ("short", "other", "short"),
        ("a" * 30, "b" * 30, "a" * 11 + "…"),
        ("a" * 30 + "xyz", "a" * 30 + "b", "…aaaaxyz"),
        ("a" * 30 + "x" * 30, "a" * 30, "…" + "a" * 4 + "x" * 7 + "…"),
    ],
)
def test_what_differs_is_seen(text, other, shown):
    assert shortened(text, other, 12) == shown
