"""The representative rows: what integer modes are calibrated with, and where the lengths of open inputs come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.components.tflite_converter.config import INTEGER, TFLiteConverterConfig
from penstock.components.tflite_converter.litert import part
from penstock.components.tflite_converter.rows import Batch, Parser, RowFiles, open_lengths
from penstock.serving.saved_model import SignatureInfo

if TYPE_CHECKING:
    from penstock.components.tflite_converter.modes import Rows


@dataclass(frozen=True)
class Calibration:
    """Representative rows, ready for calls of a fixed batch.

    Args:
        batches: The rows; none where nothing needs them.
        size: Rows of a call, a count.
        lengths: Input → values a row, a count, for inputs whose length the signature leaves open.
    """

    batches: Sequence[Batch]
    size: int
    lengths: Mapping[str, int]

    @property
    def rows(self) -> int:
        """How many there are, a count."""
        return sum(len(next(iter(next(iter(batch.inputs.values())).values()))) for batch in self.batches)

    def calls(self) -> Iterator[tuple[str, Rows]]:
        """Yield signature and inputs of each call."""
        for batch in self.batches:
            for signature, inputs in batch.inputs.items():
                yield signature, {name: part(array, 0, self.size) for name, array in inputs.items()}

    def shapes(self, signatures: Sequence[SignatureInfo]) -> dict[str, dict[str, tuple[int, ...]]]:
        """Return signature → input → shape of a call, batch first."""
        return {
            signature.name: {
                tensor.name: (
                    self.size,
                    *(self.lengths[tensor.name] if size is None else size for size in (tensor.shape or ())[1:]),
                )
                for tensor in signature.inputs
            }
            for signature in signatures
        }


def read_calibration(rows: RowFiles, parser: Parser, config: TFLiteConverterConfig) -> Calibration:
    """Read the representative rows where a mode or an open input needs them.

    Raises:
        ArtifactError: There are none, or they have not the features that a signature takes.
    """
    size = 1 if config.batch == "dynamic" else config.batch
    fixed = frozenset[str]() if config.batch == "dynamic" else open_lengths(parser.signatures)
    if not fixed and INTEGER.isdisjoint(config.modes):
        return Calibration((), size, {})
    parser = replace(parser, label=None)
    if not fixed:
        return Calibration(tuple(parser.batches(rows, size)), size, {})
    lengths: dict[str, int] = {}
    for batch in parser.batches(rows, rows.limit):
        for inputs in batch.inputs.values():
            longest = {name: max(1, array.shape[1]) for name, array in inputs.items() if name in fixed}
            lengths |= {name: max(length, lengths.get(name, 0)) for name, length in longest.items()}
    filled = replace(parser, lengths=lengths)
    return Calibration(tuple(filled.batches(rows, size)), size, lengths)
