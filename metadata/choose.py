"""The one run that a person means by an id, the beginning of one, ``latest`` or ``latest~1``."""

from __future__ import annotations

import re

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.metadata.reader import Reader
from penstock.metadata.records import RunRecord

_LATEST = re.compile(r"latest(?:~(\d+))?")
_EXPECTED = "a run's id, its beginning, latest, or latest~1 for the one before"
_SHOWN = 5
_SEARCHED = 1000
"""Newest runs that a mistyped id is compared with."""


def choose_run(reader: Reader, text: str) -> RunRecord:
    """Return the run that a text names.

    Raises:
        ConfigError: There is none, or there are several.
    """
    latest = _LATEST.fullmatch(text)
    if latest:
        return _latest(reader, text, int(latest[1] or 0))
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


def _latest(reader: Reader, text: str, back: int) -> RunRecord:
    runs = reader.newest_runs(back + 1)
    if len(runs) > back:
        return runs[back]
    raise ConfigError(
        f"there is no run {text!r}{_of(reader)}",
        where=str(reader.location),
        received=f"{len(runs)} runs",
        hint=f"the oldest is latest~{len(runs) - 1}" if runs else _none_yet(),
    )


def _of(reader: Reader) -> str:
    return "" if reader.pipeline is None else f" of {reader.pipeline}"


def _none_yet() -> str:
    return "no run is recorded yet: penstock run FILE"
