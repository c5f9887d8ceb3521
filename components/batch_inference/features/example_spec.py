"""Which features a signature parses out of serialized tf.Examples, read from the graph of a SavedModel.

The signature itself says only that it takes texts. The operation that parses them says the rest, so that a header that
lacks a feature is found before the first row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.serving.saved_model import TensorInfo

_PARSE = "ParseExampleV2"


@dataclass(frozen=True)
class ExampleFeature:
    """A feature that the model parses.

    Attributes:
        spec: Its name, the type that tf.Examples store it as, and its shape with the batch first.
        required: Whether a row without it is refused.
    """

    spec: TensorInfo
    required: bool

    @property
    def name(self) -> str:
        """The feature's name."""
        return self.spec.name

    @property
    def told(self) -> str:
        """Return it in words."""
        inner = self.spec.shape[1:] if self.spec.shape else ()
        shape = f" [{', '.join('any' if size is None else str(size) for size in inner)}]" if inner else ""
        return f"{self.name}: {self.spec.dtype}{shape}{'' if self.required else ', may be missing'}"


def example_features(model: Path) -> tuple[ExampleFeature, ...]:
    """Return the features that a SavedModel parses, sorted by name; none where it cannot be told.

    Where several operations parse, as one a signature, a feature that they parse alike is one; the others are none.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    found: dict[str, set[ExampleFeature]] = {}
    for graph in saved.meta_graphs:
        for nodes in (graph.graph_def.node, *(function.node_def for function in graph.graph_def.library.function)):
            by_name = {node.name: node for node in nodes}
            for node in nodes:
                if node.op == _PARSE:
                    for feature in _features(node, by_name):
                        found.setdefault(feature.name, set()).add(feature)
    return tuple(next(iter(same)) for _, same in sorted(found.items()) if len(same) == 1)


def _features(node: Any, nodes: Mapping[str, Any]) -> Iterator[ExampleFeature]:
    inputs = [name for name in node.input if not name.startswith("^")]
    sparse, dense, ragged = (_texts(_constant(name, nodes)) for name in inputs[2:5])
    defaults = inputs[5 : 5 + len(dense)]
    for name, number, shape, default in zip(
        dense, node.attr["Tdense"].list.type, node.attr["dense_shapes"].list.shape, defaults, strict=True
    ):
        sizes = tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
        value = _constant(default, nodes)
        yield _feature(name, number, sizes, required=None not in sizes and value is not None and value.size == 0)
    for names, kind in ((sparse, "sparse_types"), (ragged, "ragged_value_types")):
        for name, number in zip(names, node.attr[kind].list.type, strict=True):
            yield _feature(name, number, (None,), required=False)


def _feature(name: str, number: int, inner: tuple[int | None, ...], *, required: bool) -> ExampleFeature:
    import tensorflow as tf

    return ExampleFeature(TensorInfo(name, tf.as_dtype(number).name, (None, *inner)), required)


def _constant(name: str, nodes: Mapping[str, Any]) -> Any:
    """Return the value of a constant that feeds an operation, None if it is no constant."""
    import tensorflow as tf

    node = nodes.get(name.partition(":")[0])
    return tf.make_ndarray(node.attr["value"].tensor) if node is not None and node.op == "Const" else None


def _texts(values: Any) -> list[str]:
    return [] if values is None else [value.decode() for value in values.reshape(-1).tolist()]
