"""What TFX's signatures do not say about its components."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.pipelines.catalog.types import ValueType, Wiring

PATH = ValueType("path")
FUNCTION = ValueType("function")

# Parameters that TFX types as plain text or integers.
VALUES: Mapping[str, ValueType] = {
    "input_base": PATH,
    "module_file": PATH,
    "schema_file": PATH,
    "preprocessing_fn": FUNCTION,
    "run_fn": FUNCTION,
    "tuner_fn": FUNCTION,
    "stats_options_updater_fn": FUNCTION,
    "payload_format": ValueType(
        "enum", values={"FORMAT_TF_EXAMPLE": 6, "FORMAT_TF_SEQUENCE_EXAMPLE": 7, "FORMAT_PROTO": 11}
    ),
}

# Arguments with a default of None that the component cannot do without.
REQUIRED = {
    ("CsvExampleGen", "input_base"),
    ("ImportExampleGen", "input_base"),
    ("Evaluator", "model"),
    ("Evaluator", "eval_config"),
    ("BulkInferrer", "model"),
    ("tfx.components.Pusher", "model"),
}

ONE_OF = (("module_file", "preprocessing_fn"), ("module_file", "run_fn"), ("module_file", "tuner_fn"))

# Beside a transform graph, the stock components read what Transform made; raw rows would train without an error and
# serve on other values than they were trained on.
WIRING_OF: Mapping[tuple[str, str], Wiring] = {
    ("tfx.components.Trainer", "examples"): "nearest",
    ("Tuner", "examples"): "nearest",
    # A served or converted model is asked with raw rows.
    ("Pusher", "examples"): "same_key",
    ("TFLiteConverter", "examples"): "same_key",
    ("BatchInference", "examples"): "same_key",
    # Which of the models is asked is chosen: the one of this run, or one that was pushed.
    ("BatchInference", "pushed_model"): "explicit",
}

# A baseline comes from an earlier run; a model to start from is chosen, not found.
WIRING: Mapping[str, Wiring] = {
    "baseline_model": "resolved",
    "baseline_statistics": "explicit",
    "examples_base": "explicit",
    "base_model": "explicit",
    "analyzer_cache": "explicit",
    "transformed_examples": "same_key",
}

# Text fields that hold JSON: a config writes them as a mapping.
JSON_TEXT = {("tensorflow_model_analysis.MetricConfig", "config")}
