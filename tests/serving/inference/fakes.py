"""A model that is a Python function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2

Arrays = dict[str, np.ndarray[Any, Any]]


class FakeModel:
    """One version with one signature, ``serving_default``.

    Args:
        definition: Text proto of the signature.
        function: Inputs → all outputs.
    """

    def __init__(self, definition: str, function: Callable[[Arrays], Arrays], version: int = 5) -> None:
        self.name = "m"
        self.version = version
        self.batched: frozenset[str] = frozenset()
        self.signatures: Mapping[str, Any] = {
            "serving_default": text_format.Parse(definition, meta_graph_pb2.SignatureDef())
        }
        self._function = function

    def run(self, signature: str, inputs: Mapping[str, Any], outputs: Sequence[str] = ()) -> Arrays:
        assert signature == "serving_default"
        answer = self._function(dict(inputs))
        return {name: answer[name] for name in outputs}


def definition(inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Return the text proto of a signature with these names."""
    return " ".join(
        [f'inputs {{ key: "{name}" value {{ name: "{name}:0" }} }}' for name in inputs]
        + [f'outputs {{ key: "{name}" value {{ name: "{name}:0" }} }}' for name in outputs]
    )
