"""The one run that a person means by an id, its beginning or ``latest``, with ``~1`` for the one before."""

from __future__ import annotations

import re

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.metadata.reader import Reader
from penstock.metadata.records import RunRecord

_BACK = re.compile(r"(.+)~(\d{1,4})")
_LATEST = "latest"
_EXPECTED = "a run's id, its beginning, latest, or latest~1 for the one before"
_SHOWN = 5
_SEARCHED = 1000
"""Newest runs that a mistyped id is compared with."""


def choose_run(reader: Reader, text: str) -> RunRecord:
    """Return the run that a text names.

    Raises:
        ConfigError: There is none, or there are several.
    """
    back = _BACK.fullmatch(text)
    if back:
        return _before(reader, choose_run(reader, back[1]), text, int(back[2]))
    if text == _LATEST:
        return _latest(reader)
    found = reader.runs_named(text)
    exact = [run for run in found if run.id == text]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        shown = ", ".join(run.id for run in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ConfigError(
            f"several runs begin with {text!r}", where=str(reader.location), received=shown + more, expected=_EXPECTED
        )
    known = [run.id for run in reader.newest_runs(_SEARCHED)]
    raise ConfigError(
        f"there is no run {text!r}{_of(reader)}",
        where=str(reader.location),
        received=text,
        expected=_EXPECTED,
        hint=did_you_mean(text, known) or (f"the newest are {', '.join(known[:_SHOWN])}" if known else _none_yet()),
    )


def run_before(reader: Reader, run: RunRecord) -> RunRecord:
    """Return the run of the same pipeline before another.

    Raises:
        ConfigError: It is the first.
    """
    return _before(reader, run, f"{run.id}~1", 1)


def is_latest(text: str) -> bool:
    """Return whether a text asks for the newest run, or one so many before it, rather than names one."""
    return text == _LATEST or text.startswith(f"{_LATEST}~")


def _latest(reader: Reader) -> RunRecord:
    newest = reader.newest_runs(1)
    if newest:
        return newest[0]
    raise ConfigError(f"there is no run {_LATEST!r}{_of(reader)}", where=str(reader.location), hint=_none_yet())


def _before(reader: Reader, run: RunRecord, text: str, back: int) -> RunRecord:
    runs = reader.newest_runs(back + 1)
    if runs and runs[0].id != run.id:
        runs = reader.newest_runs(_SEARCHED)
    place = next((number for number, one in enumerate(runs) if one.id == run.id), len(runs))
    if place + back < len(runs):
        return runs[place + back]
    earlier = max(0, len(runs) - 1 - place)
    raise ConfigError(
        f"there is no run {text!r}{_of(reader)}",
        where=str(reader.location),
        received=f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, {earlier} before {run.id}",
        hint=f"the oldest is {text.rpartition('~')[0]}~{earlier}" if earlier else "there is none before it to compare",
    )


def _of(reader: Reader) -> str:
    return "" if reader.pipeline is None else f" of {reader.pipeline}"


def _none_yet() -> str:
    return "no run is recorded yet: penstock run FILE"
