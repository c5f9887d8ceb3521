"""Rules about engines whose workers are elsewhere: Dataflow's required options, and a cluster that gets the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from penstock.closest import did_you_mean
from penstock.pipelines.checks.beam import OPTIONS
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.engines.names import (
    AUTO,
    DATAFLOW_NEEDS,
    LOOPBACK,
    engine_of,
    is_embedded,
    master,
    master_option,
    needs_job_server,
    ships_code,
)
from penstock.pipelines.graph import Graph

ENVIRONMENTS = ("DOCKER", "PROCESS", "EXTERNAL", LOOPBACK)
# As Dataflow has them: apache_beam/options/pipeline_options_validator.py.
_PROJECT = r"[a-z][-a-z0-9:.]+[a-z0-9]"
_JOB_NAME = r"[a-z](?:[-a-z0-9]*[a-z0-9])?"
_GCS = r"gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/\S+"
_HERE = ("localhost", "127.0.0.1", "::1")


def dataflow_options_are_complete(graph: Graph, document: Document) -> Iterator[Problem]:
    """What Dataflow cannot do without is there; it would say so only when a job is submitted."""
    if engine_of(graph.beam.runner) != "dataflow":
        return
    options = graph.beam.options
    missing = [name for name in DATAFLOW_NEEDS if name not in options]
    if missing:
        yield document.problem(
            ("beam", "options") if options else ("beam", "runner"),
            f"Dataflow needs {', '.join(missing)}",
            key=bool(options),
            expected="; ".join(f"{name}: {DATAFLOW_NEEDS[name]}" for name in missing),
            hint=f"add them to beam.options: {{{', '.join(f'{name}: …' for name in missing)}}}",
        )
    if not ships_code(options):
        yield document.problem(
            ("beam", "options") if options else ("beam", "runner"),
            "Dataflow's workers would not have your code, nor Penstock",
            key=bool(options),
            expected=f"sdk_container_image, an image with both, or setup_file: {AUTO}",
            hint="'penstock image' builds the image; setup_file ships code and installs the libraries on every worker",
        )
    yield from _well_formed(options, document)


def dataflow_sees_the_root(graph: Graph, document: Document) -> Iterator[Problem]:
    """Workers of Dataflow read and write artifacts: a folder of this machine is not theirs."""
    if engine_of(graph.beam.runner) == "dataflow" and not graph.root.startswith("gs://"):
        yield document.problem(
            ("root",),
            "Dataflow's workers cannot see the root",
            received=graph.root,
            expected="a root in Google Cloud Storage, such as gs://bucket/digits",
        )


def cluster_workers_get_the_code(graph: Graph, document: Document) -> Iterator[Problem]:
    """A cluster of Flink or Spark starts Python workers in Beam's plain image, if nobody says otherwise."""
    engine, options = engine_of(graph.beam.runner), graph.beam.options
    if engine is None or not needs_job_server(engine, options):
        return
    kind = options.get("environment_type")
    if kind is not None and str(kind).upper() not in ENVIRONMENTS:
        yield document.problem(
            (*OPTIONS, "environment_type"),
            f"Beam has no environment '{kind}' for workers",
            expected=f"one of {', '.join(ENVIRONMENTS)}",
            hint=did_you_mean(str(kind), ENVIRONMENTS),
        )
    elif not is_embedded(engine, options):
        yield from _on_a_cluster(engine, options, document)


def _on_a_cluster(engine: str, options: dict[str, Any], document: Document) -> Iterator[Problem]:
    place, address = (*OPTIONS, master_option(engine)), master(engine, options)
    host = urlsplit(address if "//" in address else f"//{address}").hostname
    kind = str(options.get("environment_type", "")).upper()
    image = options.get("sdk_container_image") or options.get("environment_config")
    if not kind and not image:
        yield document.problem(
            place,
            f"the workers of the cluster at {address} would not have your code, nor Penstock",
            expected="environment_type: EXTERNAL with environment_config: host:port of a worker pool, or DOCKER with "
            "sdk_container_image",
            hint=f"a cluster on this machine: environment_type: {LOOPBACK}, its workers are then threads of the step"
            if host in _HERE
            else None,
        )
    elif kind == LOOPBACK and host not in _HERE:
        yield document.problem(
            (*OPTIONS, "environment_type"),
            f"{LOOPBACK} workers are on this machine, and the cluster at {address} cannot reach them",
            expected="EXTERNAL with environment_config: host:port of a worker pool, or DOCKER with sdk_container_image",
        )
    elif kind in ("EXTERNAL", "PROCESS") and not (image or options.get("environment_options")):
        what = "host:port of a worker pool" if kind == "EXTERNAL" else '{"command": "…/boot"} as text'
        yield document.problem((*OPTIONS, "environment_type"), f"{kind} workers need environment_config", expected=what)


def _well_formed(options: dict[str, Any], document: Document) -> Iterator[Problem]:
    rules = {
        "project": (_PROJECT, "a project's id, not its number or name"),
        "job_name": (_JOB_NAME, "lower-case letters, digits and '-', a letter first"),
        "temp_location": (_GCS, "gs://bucket/folder"),
        "staging_location": (_GCS, "gs://bucket/folder"),
    }
    for name, (pattern, expected) in rules.items():
        value = options.get(name)
        if value is not None and re.fullmatch(pattern, str(value)) is None:
            yield document.problem(
                (*OPTIONS, name),
                f"Dataflow does not take this {name}",
                received=document.shown((*OPTIONS, name)),
                expected=expected,
            )
    counts = {name: options[name] for name in ("num_workers", "max_num_workers") if type(options.get(name)) is int}
    for name, count in counts.items():
        if count < 1:
            yield document.problem((*OPTIONS, name), f"{name} must be at least 1", received=str(count))
    if len(counts) == len(("num_workers", "max_num_workers")) and counts["num_workers"] > counts["max_num_workers"]:
        yield document.problem(
            (*OPTIONS, "num_workers"),
            "more workers at the start than at most",
            received=f"num_workers {counts['num_workers']}, max_num_workers {counts['max_num_workers']}",
        )
