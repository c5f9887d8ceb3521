"""``penstock why``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.checked import checked, refuse_remote_root
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json
from penstock.pipelines.cli.tables import plain_table, shortened

if TYPE_CHECKING:
    from penstock.metadata.reasons import Change
    from penstock.pipelines.graph import Graph
    from penstock.pipelines.why import Explanation

_SHORT = 60
_DIGEST = 12


@example("penstock why configs/digits.yaml trainer --set vars.epochs=8")
def why(
    file: File,
    step: Annotated[str, typer.Argument(metavar="STEP", help="A step of the pipeline.", show_default=False)],
    *,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Tell why a step would run or is cached: which input, parameter, code or version changed, and since which run."""
    import tempfile

    from penstock.pipelines.runners.workers import Workers
    from penstock.pipelines.why import why as ask

    with errors_as_json(enabled=json):
        loaded, graph = checked(file, set_)
        refuse_remote_root(loaded)
        _require_step(graph, step)
        with tempfile.TemporaryDirectory(prefix="penstock-why-") as logs:
            workers = Workers(loaded.document.project, Path(logs) / "imports.log")
            found: Explanation = workers.run(ask, loaded, step, log=Path(logs) / "why.log")
    if json:
        print_json(found.to_dict())
        return
    for line in explained(found):
        typer.echo(line)


def explained(found: Explanation, indent: str = "") -> list[str]:
    """Return an explanation as lines, those of the steps before it below it."""
    lines = [f"{indent}{found.step} ({found.component}) {_verdict(found)}"]
    lines += (f"{indent}  {line}" for line in _table(found))
    lines += (f"{indent}  gone  {uri}" for uri in found.gone)
    for other in found.because:
        lines += explained(other, f"{indent}  ")
    return lines


def _verdict(found: Explanation) -> str:
    if found.cached:
        return f"is cached: {found.reason}"
    if found.changes:
        return f"would run: changed since run {found.run}"
    if found.gone:
        return f"would run: what it gave in run {found.run} is no longer there"
    return f"would run: {found.reason}{f', since run {found.run}' if found.run else ''}"


def _table(found: Explanation) -> list[str]:
    rows = [(change.kind, change.name, *_texts(change)) for change in found.changes]
    return plain_table(("", "", "", "", ""), rows)[1:] if rows else []


def _texts(change: Change) -> tuple[str, str, str]:
    before, after = (_text(change, value) for value in (change.before, change.after))
    if change.kind == "input":
        return before, "→", after
    return shortened(before, after, _SHORT), "→", shortened(after, before, _SHORT)


def _text(change: Change, value: Any) -> str:
    if value is None:
        return "not there"
    text = str(value)
    return text[:_DIGEST] if change.kind == "code" and len(text) == 64 else text


def _require_step(graph: Graph, step: str) -> None:
    from penstock.closest import did_you_mean

    if step not in graph.steps:
        raise ConfigError(
            f"no step '{step}'",
            received=step,
            expected=f"one of {', '.join(graph.steps)}",
            hint=did_you_mean(step, graph.steps),
        )
