"""What a training leaves beside its model: ``history.json``, ``training_report.json``, and properties of the model."""

from __future__ import annotations

import json
import logging
import math
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock import durable
from penstock.components.trainer.verdict import Verdict
from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.components.trainer.predict_gate import SignatureCheck

_log = logging.getLogger(__name__)
_GIT_SECONDS = 10.0
_QUANTIZER = "tensorflow-model-optimization"
"""The package that makes models quantization-aware."""
_TFX_PROPERTIES = frozenset({"name", "state", "pipeline_name", "producer_component", "is_external"})
"""Custom properties by which TFX itself describes an artifact."""


@dataclass(frozen=True)
class SourceState:
    """The state of the project's code.

    Args:
        commit: Hash of the commit that is checked out.
        dirty: Files that git knows differ from it.
    """

    commit: str
    dirty: bool


@dataclass(frozen=True)
class SplitFacts:
    """What identifies the rows of a split.

    Args:
        rows: A count.
        fingerprint: Of their content, in hexadecimal; the same whatever their order and files. Empty if not taken.
    """

    rows: int
    fingerprint: str


@dataclass(frozen=True)
class Speed:
    """How fast a training was, and why it was not faster.

    Args:
        verdict: What limits it.
        wall_seconds: Time of training and validation, over all attempts.
        examples_per_second: Rows trained on in a second of training steps.
        examples_per_second_with_validation: Rows trained on, divided by the time that validation, checkpoints and
            callbacks take as well.
        steps_per_execution: Steps in one call into TensorFlow at the end, a count.
        bytes_per_all_reduce: Size of the gradients that a replica hands in each step; None where there is no exchange.
        all_reduce_seconds: Time of one exchange of gradients, measured alone; None likewise.
    """

    verdict: Verdict
    wall_seconds: float
    examples_per_second: float
    examples_per_second_with_validation: float
    steps_per_execution: int
    bytes_per_all_reduce: int | None
    all_reduce_seconds: float | None


@dataclass(frozen=True)
class Course:
    """What happened on the way.

    Args:
        epochs: Passes over the training split that were asked for, or None if the length was given in steps.
        steps: Training steps taken, a count of global batches.
        final_metrics: Loss and metrics of the weights that are exported; ``val_`` before those of the evaluation split.
        best_epoch: Epoch whose weights early stopping restored, from 1; None if it restored none.
        stopped_early: Training ended before its full length.
        rows_left_out: Training rows of each pass that are in no batch, a count.
        resumed_from_step: Step of the checkpoint that the training went on from; None if it began at the start.
    """

    epochs: int | None
    steps: int
    final_metrics: Mapping[str, float]
    best_epoch: int | None = None
    stopped_early: bool = False
    rows_left_out: int = 0
    resumed_from_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """A training in figures.

    Args:
        speed: How fast it was, with the verdict.
        course: What happened on the way.
        model_fn: Import path of the function that made the model.
        label: Name of the label feature.
        parameters: Weights of the model, a count.
        hparams: Hyperparameters as the model saw them.
        seed: Seed of the run.
        keras: Package of the model's layers: ``keras`` or ``tf_keras``.
        precision: Keras's precision policy.
        quantize_aware: Weights and activations were rounded to 8 bits while it was trained.
        strategy: ``name`` of the distribution strategy, and its other options.
        workers: Processes that computed steps, a count.
        replicas: Replicas trained in step, a count.
        global_batch_size: Rows of one step over all replicas.
        signatures: What the predict gate found, one entry a signature.
        versions: Versions of what took part, by package; see :func:`library_versions`.
        source: State of the project's code; None where it is in no git repository.
        data: The rows of the ``train`` and the ``eval`` split, as the Trainer read them.
    """

    speed: Speed
    course: Course
    model_fn: str
    label: str
    parameters: int
    hparams: Mapping[str, Any]
    seed: int
    keras: str
    precision: str
    quantize_aware: bool
    strategy: Mapping[str, Any]
    workers: int
    replicas: int
    global_batch_size: int
    signatures: tuple[SignatureCheck, ...]
    versions: Mapping[str, str]
    source: SourceState | None
    data: Mapping[str, SplitFacts] = field(default_factory=dict)


def write_report(folder: Path, history: Mapping[str, Sequence[float]], report: TrainingReport) -> None:
    """Write ``history.json`` and ``training_report.json`` into a folder, which is made.

    JSON has no NaN and no infinity; they are written as text, ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, and a
    warning names them.

    Args:
        folder: Where to write.
        history: One value an epoch for the loss and each metric.
        report: The figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "history.json", history)
    _write_json(folder / "training_report.json", report)


def properties(report: TrainingReport) -> dict[str, str | int | float]:
    """Return what is recorded of the model in ML Metadata, by name.

    Metrics have their own names; one that is called like another property gets ``metric_`` before it. A metric that is
    NaN or infinite is text, because ML Metadata cannot store such a number in SQLite.
    """
    course, speed = report.course, report.speed
    facts: dict[str, str | int | float | None] = {
        "strategy": str(report.strategy["name"]),
        "strategy_options": _json({name: value for name, value in report.strategy.items() if name != "name"}),
        "workers": report.workers,
        "replicas": report.replicas,
        "global_batch_size": report.global_batch_size,
        "precision": report.precision,
        "quantize_aware": int(report.quantize_aware),
        "keras": report.keras,
        "label": report.label,
        "hparams": _json(report.hparams),
        "seed": report.seed,
        "parameters": report.parameters,
        "epochs": course.epochs,
        "steps": course.steps,
        "wall_seconds": speed.wall_seconds,
        "examples_per_second": speed.examples_per_second,
        "verdict": speed.verdict.name,
        "commit": report.source.commit if report.source else None,
        "dirty": int(report.source.dirty) if report.source else None,
    }
    for split, found in report.data.items():
        facts |= {f"{split}_rows": found.rows, f"{split}_fingerprint": found.fingerprint or None}
    for package, version in report.versions.items():
        facts["keras_version" if package == report.keras else f"{package}_version"] = version
    taken = facts.keys() | _TFX_PROPERTIES
    metrics = {
        f"metric_{name}" if name in taken else name: value if math.isfinite(value) else _not_finite(value)
        for name, value in course.final_metrics.items()
    }
    return metrics | {name: value for name, value in facts.items() if value is not None}


def library_versions(keras: str, *, quantize_aware: bool = False) -> dict[str, str]:
    """Return the versions of Penstock, Python, TensorFlow, the Keras in use and, where it is installed, TFX.

    Args:
        keras: Package of the model's layers: ``keras`` or ``tf_keras``.
        quantize_aware: The library that wrapped them took part as well.
    """
    versions = {"penstock": __version__, "python": platform.python_version()}
    for package in ("tensorflow", keras, *([_QUANTIZER] if quantize_aware else []), "tfx"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            # Some builds of TensorFlow are installed under another name, e.g. tensorflow_cpu.
            _log.debug("no package %s is installed", package)
    return versions


def source_state(folder: Path) -> SourceState | None:
    """Return the commit that a folder's code is at; None where there is no repository, no commit or no git.

    Args:
        folder: The project's folder, or one inside it.
    """
    git = shutil.which("git")
    if git is None:
        return None
    # One command tells both; without optional locks it changes nothing in the repository.
    command = [git, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        answer = subprocess.run(  # noqa: S603  The command is ours, and git the one on the user's path.
            command, cwd=folder, capture_output=True, timeout=_GIT_SECONDS, check=True, text=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log.debug("the commit of %s is not known: %s", folder, error)
        return None
    lines = answer.stdout.splitlines()
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not commits or commits[0] == "(initial)":
        return None
    return SourceState(commits[0], dirty=any(not line.startswith("#") for line in lines))


def _write_json(path: Path, data: Any) -> None:
    odd: list[str] = []
    text = _json(data, odd, indent=2)
    if odd:
        _log.warning("%s: JSON has no NaN and no infinity; as text: %s", path.name, ", ".join(odd))
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_text(path, f"{text}\n")


def _json(data: Any, odd: list[str] | None = None, *, indent: int | None = None) -> str:
    """Return strict JSON whose order depends on nothing but the data; ``odd`` receives where it is not the number."""
    plain = _plain(data, "", [] if odd is None else odd)
    return json.dumps(plain, allow_nan=False, ensure_ascii=False, indent=indent)


def _plain(data: Any, place: str, odd: list[str]) -> Any:
    """Turn dataclasses into dictionaries, sort mappings by name, and write numbers that JSON lacks as text."""
    if is_dataclass(data):
        return {item.name: _plain(getattr(data, item.name), f"{place}.{item.name}", odd) for item in fields(data)}
    if isinstance(data, Mapping):
        return {name: _plain(data[name], f"{place}.{name}", odd) for name in sorted(data)}
    if isinstance(data, list | tuple):
        return [_plain(value, f"{place}[{number}]", odd) for number, value in enumerate(data)]
    if isinstance(data, float) and not math.isfinite(data):
        odd.append(place.removeprefix("."))
        return _not_finite(data)
    return data


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
