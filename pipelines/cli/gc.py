"""``penstock gc``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.pipelines.cli.checked import refuse_remote_root
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json

if TYPE_CHECKING:
    from penstock.pipelines.garbage import Item, Verdict


@example("penstock gc configs/digits.yaml --keep-runs 5 --yes")
def gc(
    file: File,
    *,
    keep_runs: Annotated[int, typer.Option("--keep-runs", min=1, help="Newest runs of which everything is kept.")] = 10,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed; without it nothing is changed.")] = False,
    set_: Set = None,
    json: Json = False,
) -> None:
    """List, and with --yes remove, the artifacts that no recent run, no version and no label refers to."""
    from penstock.pipelines.config import load
    from penstock.pipelines.garbage import look, remove

    with errors_as_json(enabled=json):
        loaded = load(file, set_ or ())
        refuse_remote_root(loaded)
        verdict = (remove if yes else look)(loaded, keep_runs)
    if json:
        print_json(_as_json(verdict, removed=yes))
        return
    for line in _lines(verdict, removed=yes):
        typer.echo(line)


def _as_json(verdict: Verdict, *, removed: bool) -> dict[str, Any]:
    return {
        "removed": removed,
        "bytes": verdict.size,
        "garbage": [_entry(item) for item in verdict.garbage],
        "kept": [_entry(item) for item in verdict.kept],
    }


def _entry(item: Item) -> dict[str, Any]:
    work = item.judged.work
    return {
        "execution": work.id,
        "step": work.origin.step,
        "run": work.origin.run,
        "artifacts": [artifact.id for artifact in work.all_outputs()],
        "bytes": item.size,
        "folders": item.folders,
        "reason": item.judged.reason,
    }


def _lines(verdict: Verdict, *, removed: bool) -> Iterator[str]:
    from penstock.components.tflite_converter.words import bytes_text
    from penstock.pipelines.cli.tables import plain_table

    if verdict.garbage:
        columns = ("step", "run", "artifacts", "size", "why")
        yield from plain_table(columns, [_row(item) for item in verdict.garbage], right=("size",))
        yield ""
    kept = _by_reason(verdict.kept)
    if kept:
        rows = [(str(len(found)), bytes_text(sum(item.size for item in found)), why) for why, found in kept.items()]
        yield from plain_table(("kept", "size", "for"), rows, right=("kept", "size"))
        yield ""
    did = "Removed" if removed else "Would remove"
    what = f"what {_count(verdict)} made, {bytes_text(verdict.size)}" if verdict.garbage else "nothing"
    yield f"{did} {what}.{'' if removed or not verdict.garbage else ' --yes removes it.'}"


def _row(item: Item) -> tuple[str, ...]:
    from penstock.components.tflite_converter.words import bytes_text

    work = item.judged.work
    ids = ", ".join(str(artifact.id) for artifact in work.all_outputs())
    return work.origin.step, work.origin.run, ids, bytes_text(item.size), item.judged.reason


def _count(verdict: Verdict) -> str:
    number = len(verdict.garbage)
    return f"{number} execution{'' if number == 1 else 's'}"


def _by_reason(items: tuple[Item, ...]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.judged.reason, []).append(item)
    return found
