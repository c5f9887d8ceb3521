"""What the terminal, or the log of a CI run, shows while steps run."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from penstock.pipelines import progress
from penstock.pipelines.graph import Graph
from penstock.pipelines.progress import LiveProgress, PlainProgress
from penstock.pipelines.runners.local import StepRun

GRAPH = Graph("p", "/runs", "/runs/metadata.sqlite", Path("/project"), (), {})
STATUS = "epoch 3/5  step 210/575  loss 0.0812  accuracy 0.974  310k examples/s  0:12 left"


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def console(width=100, *, terminal=False):
    """Return a terminal, or a pipe, on which no second passes."""
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, get_time=lambda: 100.0)


def text(shown):
    return shown.file.getvalue()


def live(shown):
    """Return the lines that a LiveProgress shows now."""
    with shown._console.capture() as capture:
        shown._console.print(shown._progress.get_renderable())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_plain_notes_are_printed_at_once():
    out = console()
    shown = PlainProgress(out)
    shown.started("trainer")
    shown.step_note("trainer", "input-bound: 71 % of step time is waiting for data")
    assert text(out) == "  trainer │ input-bound: 71 % of step time is waiting for data\n"


def test_plain_statuses_are_few_and_none_in_a_short_step(clock):
    out = console()
    shown = PlainProgress(out)
    shown.started("trainer")
    for second in range(1, 26):
        clock[0] = 100.0 + second
        shown.step_status("trainer", f"step {second}")
    assert text(out) == "  trainer │ step 10\n  trainer │ step 20\n"


def test_plain_statuses_of_steps_side_by_side_do_not_hide_each_other(clock):
    out = console()
    shown = PlainProgress(out)
    shown.started("left")
    clock[0] += 5
    shown.started("right")
    clock[0] += 6
    shown.step_status("left", "one")
    shown.step_status("right", "too early")
    clock[0] += 4
    shown.step_status("right", "two")
    assert text(out) == "  left │ one\n  right │ two\n"


def test_a_long_note_stays_one_line_to_copy():
    out = console(width=40)
    PlainProgress(out).step_note("trainer", "x" * 60)
    assert text(out) == f"  trainer │ {'x' * 60}\n"


@pytest.mark.parametrize(
    ("note", "lines"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("loss [red]0.1[/] of [/5] :smile:", ["loss [red]0.1[/] of [/5] :smile:"]),
        ("\x1b[2K\x1b[31mbad\x1b[0m", ["bad"]),
        ("10 %\r20 %", ["20 %"]),
        ("skipped \udcff.csv", ["skipped ?.csv"]),
    ],
)
def test_a_note_is_printed_as_it_is_meant_and_cannot_break_the_terminal(note, lines):
    out = console()
    PlainProgress(out).step_note("trainer", note)
    assert text(out).splitlines() == [f"  trainer │ {line}" for line in lines]


def test_the_live_line_shows_the_steps_status_beside_its_clock():
    shown = LiveProgress(console())
    shown.started("transform")
    shown.started("trainer")
    shown.step_status("trainer", "epoch 1/5")
    shown.step_status("trainer", STATUS)
    waiting, line = live(shown)
    assert waiting[2:] == "transform 0:00:00"
    assert line[2:] == f"trainer   0:00:00 {STATUS}"


def test_the_live_line_never_wraps():
    shown = LiveProgress(console(width=40))
    shown.started("trainer")
    shown.step_status("trainer", f"{STATUS}\nand more")
    (line,) = live(shown)
    assert line[2:] == "trainer 0:00:00 epoch 3/5  step 210/5…"


def test_a_status_with_brackets_is_no_markup():
    shown = LiveProgress(console())
    shown.started("trainer")
    shown.step_status("trainer", "step [/5] of [bold]5")
    (line,) = live(shown)
    assert line.endswith("step [/5] of [bold]5")


def test_live_notes_stay_and_the_status_goes_with_the_step():
    out = console(terminal=True)
    with LiveProgress(out) as shown:
        shown.preparing("run1", Path("/runs/logs/run1"))
        shown.prepared(GRAPH, 8.25)
        shown.started("trainer")
        shown.step_note("trainer", "worker 1: killed, started again (1 of 3)")
        shown.step_status("trainer", STATUS)
        shown.finished(StepRun("trainer", "Trainer", "ran", 1.26))
        assert shown._progress.task_ids == []
    assert "  trainer │ worker 1: killed, started again (1 of 3)\n" in text(out)
