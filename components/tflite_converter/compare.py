"""The same rows for the SavedModel and every flatbuffer: how far their answers are apart, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from penstock.components.tflite_converter.config import Mode
from penstock.components.tflite_converter.quality import Quality
from penstock.components.tflite_converter.result import Comparison
from penstock.components.tflite_converter.rows import Batch
from penstock.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Model(Protocol):
    """What can be asked through its signatures."""

    def ask(self, signature: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return output → array for input → array, the rows first."""


@dataclass(frozen=True)
class Compared:
    """What came of asking all models.

    Args:
        rows: Rows asked, a count.
        metric: The SavedModel's metric; None where none was asked for.
        by_model: What each flatbuffer gave.
    """

    rows: int
    metric: float | None
    by_model: Mapping[Mode, Comparison]


@dataclass(frozen=True)
class Judge:
    """What the metric looks at.

    Args:
        metric: Keras's name; None for no metric.
        output: The output; None for the only one.
    """

    metric: str | None
    output: str | None = None

    def quality(self) -> Quality | None:
        """Return a metric that has seen nothing yet."""
        return Quality(self.metric) if self.metric else None

    def pick(self, answers: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the output that the metric looks at.

        Raises:
            ArtifactError: There is none of that name, or several and none was chosen.
        """
        name = self.output or (next(iter(answers)) if len(answers) == 1 else None)
        if name is None or name not in answers:
            raise ArtifactError(
                f"there is no output {name!r}" if name else "the signature has several outputs",
                received=", ".join(sorted(answers)),
                expected="`output`: the one that the metric looks at",
            )
        return answers[name]


def compare(original: Model, models: Mapping[Mode, Model], batches: Iterable[Batch], judge: Judge) -> Compared:
    """Ask the SavedModel and every flatbuffer about the same rows.

    Raises:
        ArtifactError: A model cannot answer, or the metric cannot be computed.
    """
    rows, truth = 0, judge.quality()
    differences = {name: _Difference() for name in models}
    qualities = {name: judge.quality() for name in models}
    for batch in batches:
        for number, (signature, inputs) in enumerate(batch.inputs.items()):
            want = original.ask(signature, inputs)
            if number == 0:
                rows += len(next(iter(inputs.values())))
                _count(truth, judge, batch, want)
            for name, model in models.items():
                got = model.ask(signature, inputs)
                differences[name].add(want, got)
                if number == 0:
                    _count(qualities[name], judge, batch, got)
    return Compared(
        rows=rows,
        metric=truth.result() if truth else None,
        by_model={name: differences[name].comparison(qualities[name]) for name in models},
    )


def _count(quality: Quality | None, judge: Judge, batch: Batch, answers: Mapping[str, NDArray[Any]]) -> None:
    if quality is not None and batch.labels is not None:
        quality.add(batch.labels, judge.pick(answers))


class _Difference:
    """Sums over batches."""

    def __init__(self) -> None:
        self._largest = self._sum = 0.0
        self._values = 0
        self._flips: int | None = None

    def add(self, want: Mapping[str, NDArray[Any]], got: Mapping[str, NDArray[Any]]) -> None:
        for name, expected in want.items():
            wanted, answered = expected.astype(np.float64), got[name].astype(np.float64)
            with np.errstate(invalid="ignore"):
                difference = np.abs(answered - wanted)
            same = (wanted == answered) | (np.isnan(wanted) & np.isnan(answered))
            difference = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
            self._largest = max(self._largest, float(difference.max(initial=0.0)))
            self._sum += float(difference.sum())
            self._values += difference.size
            if wanted.ndim > 1 and wanted.shape[-1] > 1:
                flips = np.count_nonzero(wanted.argmax(-1) != answered.argmax(-1))
                self._flips = (self._flips or 0) + int(flips)

    def comparison(self, quality: Quality | None) -> Comparison:
        metric = quality.result() if quality else None
        return Comparison(self._largest, self._sum / max(1, self._values), self._flips, metric)
