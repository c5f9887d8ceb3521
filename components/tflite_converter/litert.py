"""Asks a flatbuffer through LiteRT's interpreter, in real numbers whatever its inputs and outputs hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


class LiteRTModel:
    """One flatbuffer in one interpreter.

    Args:
        content: The flatbuffer.
        signatures: Names of its signatures.
        threads: Threads of an op, a count.
        where: What to call the model in an error.

    Raises:
        ArtifactError: LiteRT cannot run it.
    """

    def __init__(self, content: bytes, signatures: tuple[str, ...], *, threads: int, where: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._where = where
        try:
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
            self._runners = {name: interpreter.get_signature_runner(name) for name in signatures}
        except (ValueError, RuntimeError) as error:
            raise self._refused(error) from error

    def ask(self, signature: str, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Answer rows in as many calls as the model's batch asks for.

        Args:
            signature: The signature's name.
            inputs: Input → array of real numbers, the rows first.

        Returns:
            Output → array of real numbers, the rows first.

        Raises:
            ArtifactError: LiteRT cannot compute the answer.
        """
        rows, batch = len(next(iter(inputs.values()))), self.batch(signature)
        encoded = self.encode(signature, inputs)
        size = batch or rows
        answers = [
            self.call(signature, {name: part(array, start, size) for name, array in encoded.items()})
            for start in range(0, rows, size)
        ]
        details = self._runners[signature].get_output_details()
        return {
            name: _decoded(np.concatenate([answer[name] for answer in answers])[:rows], details[name])
            for name in answers[0]
        }

    def call(self, signature: str, encoded: Arrays) -> dict[str, NDArray[Any]]:
        """Make one call with inputs as the model holds them, and return outputs as it holds them."""
        try:
            return self._runners[signature](**encoded)  # type: ignore[no-any-return]
        except (ValueError, RuntimeError) as error:
            raise self._refused(error) from error

    def encode(self, signature: str, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return real numbers as the model's inputs hold them: integers where they are quantized."""
        details = self._runners[signature].get_input_details()
        return {name: _encoded(array, details[name]) for name, array in inputs.items()}

    def batch(self, signature: str) -> int | None:
        """Return the rows of one call; None where there may be any number."""
        details = next(iter(self._runners[signature].get_input_details().values()))
        size = int(details["shape_signature"][0])
        return None if size < 0 else size

    def _refused(self, error: Exception) -> ArtifactError:
        return ArtifactError(f"LiteRT cannot run the model: {error}", where=self._where)


def part(array: NDArray[Any], start: int, size: int) -> NDArray[Any]:
    """Return ``size`` rows from ``start`` on; after the last one it is repeated."""
    rows = array[start : start + size]
    return rows if len(rows) == size else np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


def _encoded(array: NDArray[Any], details: Mapping[str, Any]) -> NDArray[Any]:
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"])
    if not scale or dtype.kind not in "iu" or array.dtype.kind != "f":
        return array.astype(dtype)
    limits = np.iinfo(dtype)
    integers = np.round(np.nan_to_num(array.astype(np.float64)) / scale) + zero_point
    clipped: NDArray[Any] = np.clip(integers, limits.min, limits.max)
    return clipped.astype(dtype)


def _decoded(array: NDArray[Any], details: Mapping[str, Any]) -> NDArray[Any]:
    scale, zero_point = details["quantization"]
    if not scale or array.dtype.kind not in "iu":
        return array
    reals: NDArray[Any] = (array.astype(np.float64) - zero_point) * scale
    return reals.astype(np.float32)
