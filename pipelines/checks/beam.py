"""Rules about the ``beam`` block: which runner, which options, and whether its workers get the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock.closest import did_you_mean
from penstock.pipelines.catalog.beam import BeamOption, beam_options, beam_runners
from penstock.pipelines.catalog.job_servers import job_server_options
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.engines.names import AUTO, SHORT_NAMES, engine_of, is_known, jar_option, needs_job_server
from penstock.pipelines.graph import Graph

OPTIONS = ("beam", "options")
_ONE_ENGINE = {
    "DirectOptions": "direct",
    "FlinkRunnerOptions": "flink",
    "SparkRunnerOptions": "spark",
    "PrismRunnerOptions": "prism",
}
"""Groups of options that one runner reads; the others are ignored there, silently."""
_KINDS = {"bool": "true or false", "int": "an integer", "float": "a number", "str": "text", "json": "JSON as text"}
_TYPES: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "json": str, "str": (str, int, float)}


def runner_exists(graph: Graph, document: Document) -> Iterator[Problem]:
    """The runner is one of Beam's, or a class by its import path."""
    runner = graph.beam.runner
    if not is_known(runner):
        yield document.problem(
            ("beam", "runner"),
            f"Beam has no runner '{runner}'",
            expected=f"one of {', '.join(SHORT_NAMES)}, another of Beam's, or the import path of a runner's class",
            hint=did_you_mean(runner, (*SHORT_NAMES, *beam_runners())),
        )


def options_are_beams(graph: Graph, document: Document) -> Iterator[Problem]:
    """Every option is one that Beam knows; Beam itself drops what it does not know with a line in a log."""
    engine = engine_of(graph.beam.runner)
    if engine is None:
        return  # A runner of somebody else has options of its own.
    known = {**beam_options(), **job_server_options(engine)}
    for name in graph.beam.options:
        if name == "runner":
            yield document.problem(
                (*OPTIONS, name), "the runner has a key of its own", key=True, hint=f"write beam: {{runner: {engine}}}"
            )
        elif name not in known:
            yield document.problem(
                (*OPTIONS, name),
                f"Beam has no option '{name}'",
                key=True,
                expected="a flag of Beam without its dashes, such as temp_location",
                hint=did_you_mean(name, known),
            )


def options_have_their_types(graph: Graph, document: Document) -> Iterator[Problem]:
    """A number where Beam wants one, and one of the words where it has a list of them."""
    for name, value in graph.beam.options.items():
        option = beam_options().get(name)
        if option is None:
            continue
        values = value if isinstance(value, tuple) else (value,)
        expected = next((text for item in values if (text := _expected(option, item)) is not None), None)
        if isinstance(value, tuple) and option.kind != "list":
            expected = f"{_KINDS[option.kind]}, once"
        if expected is not None:
            yield document.problem(
                (*OPTIONS, name),
                f"Beam's option '{name}' does not take this",
                received=document.shown((*OPTIONS, name)),
                expected=expected,
                hint=did_you_mean(str(value), option.choices),
            )


def options_are_read(graph: Graph, document: Document) -> Iterator[Problem]:
    """An option of another engine would have no effect, and nothing would say so."""
    engine = engine_of(graph.beam.runner)
    for name in graph.beam.options if engine else ():
        option = beam_options().get(name)
        reader = _ONE_ENGINE.get(option.group) if option else None
        if reader is not None and reader != engine:
            yield document.problem(
                (*OPTIONS, name),
                f"'{name}' is an option of the {reader} runner and does nothing on {engine}",
                key=True,
                hint=f"leave it out; where a file that this one extends has it, write {name}: null",
            )


def setup_file_exists(graph: Graph, document: Document) -> Iterator[Problem]:
    """Files that Beam is to read are there, before anything runs."""
    for name in ("setup_file", "requirements_file"):
        value = graph.beam.options.get(name)
        if not isinstance(value, str) or "://" in value or (name == "setup_file" and value == AUTO):
            continue
        path = Path(document.resolve(value))
        if not path.is_file():
            yield document.problem(
                (*OPTIONS, name),
                f"there is no file {path}",
                expected="the path of a setup.py" if name == "setup_file" else "the path of a requirements file",
                hint=f"{name}: {AUTO} lets Penstock write one" if name == "setup_file" else None,
            )
        elif name == "setup_file" and path.name != "setup.py":
            yield document.problem((*OPTIONS, name), "Beam takes a setup file by the name setup.py only")


def job_server_jar_is_used(graph: Graph, document: Document) -> Iterator[Problem]:
    """The jar is a file, and of a runner that has a job server."""
    jar, path = graph.beam.job_server_jar, ("beam", "job_server_jar")
    if jar is None:
        return
    engine = engine_of(graph.beam.runner)
    if not needs_job_server(engine, graph.beam.options):
        yield document.problem(
            path,
            f"no job server is started for the runner '{graph.beam.runner}' with these options",
            key=True,
            expected="runner: flink or spark, without job_endpoint",
        )
    elif not (file := Path(document.resolve(jar))).is_file():
        yield document.problem(path, f"there is no file {file}", expected="Beam's job server, a jar")
    elif engine is not None and jar_option(engine) in graph.beam.options:
        yield document.problem(path, f"the options name a jar as well: {jar_option(engine)}", key=True)


def _expected(option: BeamOption, value: object) -> str | None:
    """Return what the option takes, None if the value is that."""
    if option.kind == "list":
        return "text, or a list of it" if isinstance(value, bool) else None
    if isinstance(value, bool) != (option.kind == "bool"):
        return _KINDS[option.kind]
    if option.kind != "bool" and not isinstance(value, _TYPES[option.kind]):
        return _KINDS[option.kind]
    if option.choices and str(value) not in option.choices:
        return f"one of {', '.join(option.choices)}"
    return None
