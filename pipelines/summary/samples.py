"""Real rows, asked of a pushed SavedModel through its signature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.serving.saved_model import load_in_graph

SIGNATURE = "serving_default"
_ROWS = 5
_NUMBERS_SHOWN = 4
_SUM_TOLERANCE = 0.01
"""How far from 1 the sum of probabilities may be: they may be of 16 bits."""


@dataclass(frozen=True)
class Sample:
    """One row: its label, and what the model said.

    Attributes:
        label: The true label, as text.
        predicted: The class that the model chose by number; else the number, or the first few, that it answered.
        probability: Of the chosen class; None where the answer is no distribution, such as a number or logits.
        right: Whether the chosen class is the label's; None where the two cannot be compared, as numbers of a
            regression, or the number of a class and its name.
    """

    label: str
    predicted: str
    probability: float | None
    right: bool | None


@dataclass(frozen=True)
class Samples:
    """A few rows of the evaluation split as the served model sees them."""

    model: str
    signature: str
    rows: list[Sample]


def ask(model: Path, examples: Path, label: str, split: str = "eval") -> Samples | None:
    """Ask ``model`` about the first rows of a split.

    Args:
        model: A SavedModel whose ``serving_default`` takes serialized tf.Examples.
        examples: An Examples artifact's folder.
        label: The label's feature name.
        split: Which split to read.

    Returns:
        The answers, or None when the split does not exist or the signature takes something else.
    """
    import numpy as np

    rows = _rows(examples, split)
    if not rows:
        return None
    with load_in_graph(model) as loaded:
        signature = next((info for info in loaded.signatures if info.name == SIGNATURE), None)
        if signature is None or [info.dtype for info in signature.inputs] != ["string"]:
            return None
        outputs = loaded.call(SIGNATURE, {signature.inputs[0].name: np.array(rows, dtype=object)})
    values = next(iter(outputs.values()))
    return Samples(
        model=str(model),
        signature=SIGNATURE,
        rows=[_sample(_label(row, label), value) for row, value in zip(rows, values, strict=True)],
    )


def _rows(examples: Path, split: str) -> list[bytes]:
    import tensorflow as tf

    files = sorted(str(path) for path in (examples / f"Split-{split}").glob("*"))
    if not files:
        return []
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP" if files[0].endswith(".gz") else "")
    return [bytes(row) for row in dataset.take(_ROWS).as_numpy_iterator()]


def _label(row: bytes, label: str) -> str:
    import tensorflow as tf

    feature = tf.train.Example.FromString(row).features.feature[label]
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    # Six digits: a float of 32 bits has no more, and shows others when it is taken for one of 64.
    return ", ".join(f"{value:.6g}" if isinstance(value, float) else _text(value) for value in values)


def _sample(label: str, value: Any) -> Sample:
    """Return what a model's output says of one row; a choice between classes is told by the labels, which number them.

    Args:
        label: The row's.
        value: The output for this row, of any shape.
    """
    import numpy as np

    flat = np.asarray(value).reshape(-1)
    numbered = label.isdecimal()
    if flat.size == 1 and flat.dtype.kind in "iu":
        return Sample(label, str(flat[0]), None, str(flat[0]) == label if numbered else None)
    if flat.size == 1 or flat.dtype.kind not in "iuf":
        return Sample(label, _numbers(flat), None, None)
    shares = bool(np.all(flat >= 0)) and abs(float(flat.sum(dtype=np.float64)) - 1) < _SUM_TOLERANCE
    if not shares and not numbered:
        return Sample(label, _numbers(flat), None, None)
    best = int(np.argmax(flat))
    return Sample(label, str(best), float(flat[best]) if shares else None, best == int(label) if numbered else None)


def _numbers(values: Any) -> str:
    shown = [f"{value:.4g}" if values.dtype.kind == "f" else _text(value) for value in values[:_NUMBERS_SHOWN]]
    return ", ".join([*shown, "…"] if len(values) > _NUMBERS_SHOWN else shown)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
