"""Real rows, asked of a pushed SavedModel through its signature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.serving.saved_model import load_in_graph

SIGNATURE = "serving_default"
_ROWS = 5


@dataclass(frozen=True)
class Sample:
    """One row: its label, and what the model said. ``probability`` only for a choice between classes."""

    label: str
    predicted: str
    probability: float | None


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
    shown = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values]
    return ", ".join(shown)


def _sample(label: str, value: Any) -> Sample:
    import numpy as np

    flat = np.asarray(value).reshape(-1)
    if flat.size > 1:
        best = int(np.argmax(flat))
        return Sample(label, str(best), float(flat[best]))
    return Sample(label, f"{flat[0]:.4g}" if flat.dtype.kind == "f" else str(flat[0]), None)
