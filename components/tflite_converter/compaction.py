"""Stores equal vectors of a flatbuffer once: a quantized model repeats its zero points for every channel of a layer.

The format lets tables share what they refer to; TensorFlow's converter writes each copy out. In an int8 MobileNetV2 the
copies are 6 % of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers

from penstock.components.tflite_converter.inspection import inspect

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT = 16
"""Where the data of constants begins, as the schema demands; the generated code does not know."""


def compact(content: bytes, *, where: str) -> bytes:
    """Return the same model with equal vectors stored once; as it was, if that would change or enlarge it.

    Args:
        content: The flatbuffer.
        where: What to call it in an error.

    Raises:
        ArtifactError: It is no whole LiteRT model.
    """
    from ai_edge_litert import schema_py_generated as schema

    before = inspect(content, where=where)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    builder = _SharingBuilder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    smaller = bytes(builder.Output())
    after = inspect(smaller, where=where)
    same = (before.signatures, before.ops) == (after.signatures, after.ops)
    return smaller if same and len(smaller) < len(content) else content


class _SharingBuilder(flatbuffers.Builder):
    """Returns the place of an equal vector that is there already."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._places: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802  The generated code calls it so.
        key = (x.dtype.str, x.tobytes())
        if key not in self._places:
            if x.dtype.itemsize == 1:
                self.Prep(_BUFFER_ALIGNMENT, x.nbytes)
            self._places[key] = int(super().CreateNumpyVector(x))
        return self._places[key]
