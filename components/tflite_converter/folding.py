"""Computes once what does not depend on the rows: a SavedModel becomes one of fixed shapes, with constants folded.

Transform's scalers decide inside the graph whether a feature is constant, with ops that no quantizer knows, although
the answer was known when the graph was made. With fixed shapes it is a constant, and an int8 model stays int8.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OF_SHAPE_ALONE = ("ZerosLike", "OnesLike", "Shape", "Size", "Rank")
"""Ops whose result is known as soon as the shape of their input is."""


def fix_shapes(saved_model: Path, shapes: Mapping[str, Mapping[str, tuple[int, ...]]], folder: Path) -> tuple[str, ...]:
    """Write a SavedModel whose signatures take these shapes and no others.

    Args:
        saved_model: The model.
        shapes: Signature → input → shape, batch first.
        folder: Where to write; it must not exist.

    Returns:
        The signatures that could not be folded, because they hold tables or other state beside variables.
    """
    loaded = tf.saved_model.load(str(saved_model))
    module, signatures, unfolded = tf.Module(), {}, []
    # What a signature captures is exported with it only if the module holds it.
    module.loaded = loaded
    for name, wanted in shapes.items():
        fixed = _with_shapes(loaded.signatures[name], wanted)
        frozen = _frozen(fixed, len(wanted))
        if frozen is None:
            unfolded.append(name)
        signatures[name] = _signature(fixed if frozen is None else _folded(frozen), fixed)
    if not unfolded:
        del module.loaded  # The variables are in the graph now.
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return tuple(unfolded)


def _with_shapes(signature: Any, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    _, keywords = signature.structured_input_signature
    specs = {name: tf.TensorSpec(shape, keywords[name].dtype, name=name) for name, shape in shapes.items()}

    @tf.function(autograph=False)
    def call(inputs: Mapping[str, Any]) -> Any:
        return signature(**inputs)

    return call.get_concrete_function(specs)


def _frozen(function: Any, inputs: int) -> Any:
    """Return a function with its variables as constants, or None if it holds other state as well."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # Lowered control flow is what TFLite cannot convert.
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    placeholders = [op for op in frozen.graph.get_operations() if op.type == "Placeholder"]
    return frozen if len(placeholders) == inputs else None


def _folded(frozen: Any) -> Any:
    graph_def = frozen.graph.as_graph_def()
    for node in graph_def.node:
        if node.op in _OF_SHAPE_ALONE:
            operation = frozen.graph.get_operation_by_name(node.name)
            if operation.inputs[0].shape.is_fully_defined():
                _make_constant(node, _value(operation), operation.outputs[0].dtype)
    outputs = [tensor.name for tensor in frozen.outputs]
    folded = _fold_constants(frozen.graph, graph_def, outputs)
    imported = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(folded, name=""), [])
    return imported.prune(
        [imported.graph.get_tensor_by_name(tensor.name) for tensor in frozen.inputs],
        [imported.graph.get_tensor_by_name(name) for name in outputs],
    )


def _value(operation: Any) -> NDArray[Any]:
    shape, dtype = operation.inputs[0].shape.as_list(), operation.outputs[0].dtype.as_numpy_dtype
    match operation.type:
        case "ZerosLike":
            return np.zeros(shape, dtype)
        case "OnesLike":
            return np.ones(shape, dtype)
        case "Shape":
            return np.array(shape, dtype)
        case "Size":
            return np.array(np.prod(shape), dtype)
        case _:
            return np.array(len(shape), dtype)


def _make_constant(node: Any, value: NDArray[Any], dtype: Any) -> None:
    node.op = "Const"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = dtype.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))


def _fold_constants(graph: Any, graph_def: Any, outputs: list[str]) -> Any:
    """Let Grappler compute what depends on constants alone; by itself it does not trust the shapes of inputs."""
    from tensorflow.python.grappler import tf_optimizer

    meta_graph = tf.compat.v1.train.export_meta_graph(graph=graph, graph_def=graph_def)
    meta_graph.collection_def["train_op"].node_list.value.extend(outputs)
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    config.graph_options.rewrite_options.optimizers.append("constfold")
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def _signature(function: Any, fixed: Any) -> Any:
    """Return a function that takes the inputs of ``fixed`` by position and returns its outputs by name."""
    ((specs,), _) = fixed.structured_input_signature
    names, outputs = sorted(specs), sorted(fixed.structured_outputs)

    def answer(*inputs: Any) -> dict[str, Any]:
        values = function(*inputs) if function is not fixed else fixed(dict(zip(names, inputs, strict=True)))
        return dict(zip(outputs, tf.nest.flatten(values), strict=True))

    return tf.function(answer, input_signature=[specs[name] for name in names], autograph=False)
