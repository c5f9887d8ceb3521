"""Write ``components.json``, ``protos.json``, ``metrics.json`` and ``beam.json`` from the installed TFX and Beam.

Run ``python -m penstock.pipelines.catalog.generate`` after an upgrade or a change of our components.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.pipelines.catalog.beam import BeamOption
from penstock.pipelines.catalog.beam import Kind as BeamKind
from penstock.pipelines.catalog.types import ComponentType

SHORT_NAMES = {
    "CsvExampleGen": "tfx.components.CsvExampleGen",
    "ImportExampleGen": "tfx.components.ImportExampleGen",
    "StatisticsGen": "tfx.components.StatisticsGen",
    "SchemaGen": "tfx.components.SchemaGen",
    "ImportSchemaGen": "tfx.components.schema_gen.import_schema_gen.component.ImportSchemaGen",
    "ExampleValidator": "tfx.components.ExampleValidator",
    "Transform": "tfx.components.Transform",
    "Tuner": "tfx.components.Tuner",
    "Evaluator": "tfx.components.Evaluator",
    "BulkInferrer": "tfx.components.BulkInferrer",
    "Trainer": "penstock.components.trainer.component.Trainer",
    "TFLiteConverter": "penstock.components.tflite_converter.component.TFLiteConverter",
    "Pusher": "penstock.components.pusher.component.Pusher",
    "BatchInference": "penstock.components.batch_inference.component.BatchInference",
}
BY_PATH = [
    f"tfx.components.{name}" for name in ("DistributionValidator", "ExampleDiff", "InfraValidator", "Pusher", "Trainer")
]


def components() -> dict[str, ComponentType]:
    """Describe the built-in components, by short name, and the other stock ones, by import path."""
    from penstock.pipelines.introspect import describe

    found = {}
    for name, path in [*SHORT_NAMES.items(), *((path, path) for path in BY_PATH)]:
        module, _, attribute = path.rpartition(".")
        found[name] = describe(getattr(import_module(module), attribute), name=name, import_path=path)
    return found


def protos(described: dict[str, ComponentType]) -> dict[str, Any]:
    """Describe every message that a parameter of ``described`` uses."""
    from google.protobuf import descriptor_pool
    from tensorflow_data_validation.statistics.stats_options import StatsOptions

    from penstock.pipelines.introspect import describe_message, describe_stats_options

    found: dict[str, Any] = {}
    for value in (p.type for component in described.values() for p in component.parameters.values()):
        if value.kind != "proto" or not value.message:
            continue
        if value.message.endswith(".StatsOptions"):
            found[value.message] = describe_stats_options(StatsOptions)
        else:
            found |= describe_message(descriptor_pool.Default().FindMessageTypeByName(value.message))
    return found


def metrics() -> list[str]:
    """List the metric classes that an ``EvalConfig`` may name without a module."""
    import keras
    from tensorflow_model_analysis.metrics import metric_types

    names = set(metric_types.registered_metrics())
    names |= {name for name in dir(keras.metrics) if name[0].isupper() and name != "Metric"}
    return sorted(names)


def beam() -> dict[str, Any]:
    """List Beam's runners, and the options that its own parsers know."""
    from apache_beam.options import pipeline_options

    found: dict[str, Any] = {}
    for group in pipeline_options.PipelineOptions.__subclasses__():
        if group.__module__ != pipeline_options.__name__:
            continue  # What some other import has added is not Beam's.
        parser = argparse.ArgumentParser(add_help=False)
        group._add_argparse_args(parser)  # noqa: SLF001  Where Beam says what it takes.
        for action in parser._actions:  # noqa: SLF001
            for flag in action.option_strings:
                option = BeamOption(flag.lstrip("-"), _beam_kind(action), tuple(action.choices or ()), group.__name__)
                found[option.name] = option.to_json()
    runners = {path.rpartition(".")[2] for path in pipeline_options.StandardOptions.ALL_KNOWN_RUNNERS}
    return {"options": found, "runners": sorted(runners)}


def _beam_kind(action: argparse.Action) -> BeamKind:
    if action.nargs == 0:
        return "bool"
    scalars: dict[Any, BeamKind] = {int: "int", float: "float", json.loads: "json"}
    if action.type in scalars:
        return scalars[action.type]
    return "str" if type(action).__name__ == "_StoreAction" else "list"


def render() -> dict[str, str]:
    """Return the contents of the generated files by name."""
    described = components()
    parts: dict[str, Any] = {
        "components.json": {name: entry.to_json() for name, entry in described.items()},
        "protos.json": protos(described),
        "metrics.json": metrics(),
        "beam.json": beam(),
    }
    ordered = "components.json"  # In the order of the language's documentation, not of the alphabet.
    return {name: json.dumps(data, indent=1, sort_keys=name != ordered) + "\n" for name, data in parts.items()}


def main() -> None:
    """Write the generated files beside this module."""
    for name, text in render().items():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
