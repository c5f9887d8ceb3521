"""An Evaluator's results: metrics by slice, and the verdict with its reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.metadata import Artifact


@dataclass(frozen=True)
class Evaluation:
    """What an Evaluator found.

    Attributes:
        blessed: The verdict; None when no threshold asked for one.
        reasons: Why not, one sentence a threshold that was missed.
        metrics: Slice name (``overall`` for all rows) → metric → value.
    """

    step: str
    blessed: bool | None
    reasons: list[str]
    metrics: dict[str, dict[str, float]]


def read_evaluation(step: str, outputs: Mapping[str, list[Artifact]]) -> Evaluation:
    """Read the evaluation that ``step`` wrote."""
    import tensorflow_model_analysis as tfma

    uri = outputs["evaluation"][0].uri
    result = tfma.load_eval_result(uri)
    slices = sorted(result.get_metrics_for_all_slices().items(), key=lambda item: [str(part) for part in item[0]])
    metrics = {_slice_name(key): _scalars(values) for key, values in slices}
    blessing = [artifact.properties.get("blessed") for artifact in outputs.get("blessing", [])]
    blessed = blessing[0] == 1 if blessing and blessing[0] is not None else None
    reasons = [] if blessed else list(_failures(tfma.load_validation_result(uri)))
    return Evaluation(step, blessed, reasons, metrics)


def _slice_name(key: tuple[Any, ...]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in key) or "overall"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value["doubleValue"]) for name, value in sorted(metrics.items()) if "doubleValue" in value}


def _failures(validation: Any) -> Iterator[str]:
    for slice_result in validation.metric_validations_per_slice:
        key = tuple(
            (single.column, _text(getattr(single, single.WhichOneof("kind"))))
            for single in slice_result.slice_key.single_slice_keys
        )
        for failure in slice_result.failures:
            yield f"{failure.metric_key.name} on {_slice_name(key)}: {_failure(failure)}"
    for missing in validation.missing_slices:
        yield f"no rows for the slice {str(missing).strip()} that a threshold asks for"


def _failure(failure: Any) -> str:
    value = failure.metric_value.double_value.value
    threshold = failure.metric_threshold
    if threshold.HasField("value_threshold"):
        bounds = threshold.value_threshold
        low = f"at least {bounds.lower_bound.value:g}" if bounds.HasField("lower_bound") else ""
        high = f"at most {bounds.upper_bound.value:g}" if bounds.HasField("upper_bound") else ""
        return f"{value:.4g}, and the threshold is {' and '.join(part for part in (low, high) if part)}"
    return failure.message or f"{value:.4g} against the baseline"
