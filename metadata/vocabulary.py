"""The words of ML Metadata: every property by which a run or a model version is identified, and who writes it.

All are custom properties with a value of the type given here. Types that a store has registered are never changed, so
older stores stay readable and writable: what they lack is told as not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Owner = Literal["run", "execution", "Model", "TFLiteModel", "PushedModel", "InferenceResult", "LabelChange"]
Kind = Literal["text", "count", "number", "JSON"]

PIPELINE = "pipeline"
CONFIG_FILE = "config_file"
CONFIG = "config"
CONFIG_DIGEST = "config_digest"
STEPS = "steps"
CODE = "code"
COMMIT = "commit"
DIRTY = "dirty"
VERSION_SUFFIX = "_version"
USER_CODE = "user_code"
INPUT_FINGERPRINT = "input_fingerprint"
METRICS = "metrics"
REASON = "reason"
END_REASON = "penstock_reason"
NODE = "penstock_node"
"""TFX says it by a context only, from which ML Metadata finds the executions of all runs; from an execution it finds
contexts by reading them all."""
OWNER = "penstock_owner"
FINDINGS = (INPUT_FINGERPRINT, METRICS, REASON)
"""Properties of an execution that are no parameters of it, but what was found."""


@dataclass(frozen=True)
class Property:
    """One property.

    Attributes:
        name: Its name in ML Metadata.
        owner: What has it: a run (its ``pipeline_run`` context), an execution, or an artifact of a type.
        kind: ``text``, ``count`` (INT, 0 or 1 for yes and no), ``number`` (DOUBLE) or ``JSON`` (text).
        meaning: What it tells.
        writer: Who writes it.
    """

    name: str
    owner: Owner
    kind: Kind
    meaning: str
    writer: str


def _of(owner: Owner, writer: str, *entries: tuple[str, Kind, str]) -> Iterator[Property]:
    return (Property(name, owner, kind, meaning, writer) for name, kind, meaning in entries)


PROPERTIES: tuple[Property, ...] = (
    *_of(
        "run",
        "runner",
        (PIPELINE, "text", "name of the pipeline"),
        (CONFIG_FILE, "text", "the pipeline's file"),
        (CONFIG, "JSON", "the config as it ran: overlays, variables and `--set` resolved, `metadata` left out"),
        (CONFIG_DIGEST, "text", "SHA-256 of it"),
        (STEPS, "JSON", "the steps, in order"),
        (CODE, "JSON", "step → module of the project → SHA-256 of its content"),
        (COMMIT, "text", "commit of the project"),
        (DIRTY, "count", "1: files that git knows differed from it"),
        ("penstock_version", "text", "likewise `python_version`, `tfx_version`, `tensorflow_version` and others"),
    ),
    *_of(
        "execution",
        "TFX",
        (INPUT_FINGERPRINT, "text", "ExampleGens: number, size and times of the files of each split"),
    ),
    *_of(
        "execution",
        "runner",
        (USER_CODE, "text", "digest of the project's modules behind the step; part of its cache key"),
        (METRICS, "JSON", "Evaluators: slice → metric → value"),
        (REASON, "text", "Evaluators: why the model was blessed, or not"),
        (
            END_REASON,
            "text",
            "why it FAILED: what the terminal showed, or why a later run closed it",
        ),
        (NODE, "text", "its step, as `pipeline.step`"),
        (OWNER, "JSON", "who started it: pipeline, root, the root's lock, machine, process"),
    ),
    *_of("execution", "component", (CONFIG, "JSON", "our components: their parameters, defaults included")),
    *_of(
        "Model",
        "Trainer",
        ("train_rows", "count", "rows of the training split"),
        ("eval_rows", "count", "rows of the evaluation split"),
        (
            "train_fingerprint",
            "text",
            "of the content of the training rows, in any order and files; up to 64 MB",
        ),
        ("eval_fingerprint", "text", "likewise of the evaluation rows"),
        ("hparams", "JSON", "hyperparameters as the model saw them, a Tuner's included"),
        ("strategy", "text", "distribution strategy; `strategy_options` (JSON), `workers`, `replicas`"),
        ("global_batch_size", "count", "rows of a step over all replicas"),
        ("precision", "text", "Keras's policy; `quantize_aware` 0 or 1"),
        ("seed", "count", "of the training"),
        ("epochs", "count", "asked for; `steps` taken, `parameters` of the model"),
        ("wall_seconds", "number", "of the training; `examples_per_second`, `verdict`"),
        ("label", "text", "name of the label"),
        ("val_loss", "number", "likewise every metric by its name, `val_` before those of the evaluation split"),
        (COMMIT, "text", "commit of the project; `dirty` 0 or 1"),
        ("tensorflow_version", "text", "likewise of penstock, python, tfx, and of `keras`, the package in use"),
    ),
    *_of(
        "TFLiteModel",
        "TFLiteConverter",
        ("mode", "text", "quantization mode; `signatures`"),
        ("digest", "text", "SHA-256 of the flatbuffer; `size_bytes`"),
        ("blessed", "count", "0 or 1; `reason`"),
        ("metric_value", "number", "of `metric`; `baseline_value`, `drop`"),
        ("latency_p50_us", "number", "median of one call, microseconds; `latency_ratio`, `arena_bytes`"),
        ("max_abs_error", "number", "of the outputs; `mean_abs_error`, `class_flips`"),
    ),
    *_of(
        "PushedModel",
        "Pusher",
        ("pushed", "count", "0 or 1; `reason`"),
        ("model_name", "text", "name on the server"),
        ("version", "count", "number of the version; `pushed_version`, the same as text, as TFX writes it"),
        ("pushed_destination", "text", "path or URL"),
        ("digest", "text", "of the version's manifest: SHA-256 over the hashes of its files"),
        ("labels", "JSON", "label → version, after the push"),
        ("modes", "text", "of flatbuffers"),
    ),
    *_of(
        "InferenceResult",
        "BatchInference",
        ("scored", "count", "0 or 1; `reason`"),
        ("model_digest", "text", "of the model's files; `model_name` and `model_version` where it was a pushed one"),
        ("rows", "count", "read; `results`, `errors`, `format`"),
    ),
    *_of(
        "LabelChange",
        "`penstock models`",
        ("kind", "text", "`promote` or `rollback`"),
        ("label", "text", "of `model`, in the file `config`"),
        ("before", "count", "version; none for a new label"),
        ("after", "count", "version"),
        ("error", "text", "why it was not moved"),
    ),
)
"""In the order of the table that the README shows; see :func:`table`."""


def names(owner: Owner) -> frozenset[str]:
    """Return the names of the properties of an owner, those that a meaning mentions in backquotes not among them."""
    return frozenset(entry.name for entry in PROPERTIES if entry.owner == owner)


def table() -> str:
    """Return the vocabulary as a Markdown table."""
    lines = ["| of | property | type | what it tells | written by |", "|---|---|---|---|---|"]
    before = ""
    for entry in PROPERTIES:
        owner = "" if entry.owner == before else entry.owner
        before = entry.owner
        lines.append(f"| {owner} | `{entry.name}` | {entry.kind} | {entry.meaning} | {entry.writer} |")
    return "\n".join(lines)
