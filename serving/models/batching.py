"""Request batching by TensorFlow's own scheduler, the one that TF Serving uses.

Each signature of a loaded graph gets a second way through it: its part of the graph becomes a function, which
TensorFlow's batch operation calls with the rows of several requests at once. Requests wait in C++, without holding
Python's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.serving.batching_config import BATCHING_FILE, BatchingOptions, parse_batching
from penstock.serving.errors import Code, ServingError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batched:
    """The tensors of a signature that lead through the scheduler: name of the input or output → name of the tensor."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def model_batching(folder: Path) -> BatchingOptions | None:
    """Return how the SavedModel in ``folder`` asks to be batched; None if it does not say.

    Raises:
        ServingError: Its ``batching_params.pbtxt`` cannot be read or asks for what is not possible.
    """
    path = folder / BATCHING_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}': {error}") from error
    return parse_batching(text, str(path))


def chosen_batching(folder: Path, common: BatchingOptions | None, *, per_model: bool) -> BatchingOptions | None:
    """Return how the SavedModel in ``folder`` is batched; None if it is not.

    Args:
        folder: The SavedModel.
        common: How models are batched that are not asked.
        per_model: Ask the model. What it says replaces all of ``common`` but the number of threads, which in TF
            Serving all models share; one that says nothing is not batched.

    Raises:
        ServingError: As :func:`model_batching`.
    """
    if not per_model:
        return common
    own = model_batching(folder)
    return replace(own, num_batch_threads=common.num_batch_threads) if own and common else own


def add_batching(graph: Any, signatures: Mapping[str, Any], options: BatchingOptions) -> dict[str, Batched]:
    """Add the way through the scheduler to every signature that can be batched.

    Args:
        graph: The loaded graph; it is added to.
        signatures: Name → ``SignatureDef``.
        options: How to batch.

    Returns:
        Name → the tensors to feed and fetch instead. A signature that takes one row at a time, or no rows, is left
        out: it runs unbatched.
    """
    batched = {}
    for name, definition in signatures.items():
        if _has_rows(graph, definition):
            batched[name] = _add_signature(graph, definition, options)
        else:
            _LOG.info("the signature %s takes no rows of any number and is not batched", name)
    return batched


def _has_rows(graph: Any, definition: Any) -> bool:
    """Tell whether every input and output is a dense tensor whose first dimension may have any size."""
    inputs, outputs = definition.inputs.values(), definition.outputs.values()
    if not inputs or not outputs or not all(info.name for info in (*inputs, *outputs)):
        return False
    shapes = [graph.get_tensor_by_name(info.name).shape for info in inputs]
    return all(shape.rank is None or (shape.rank > 0 and shape[0] is None) for shape in shapes)


def _add_signature(graph: Any, definition: Any, options: BatchingOptions) -> Batched:
    import tensorflow as tf

    inputs, outputs = sorted(definition.inputs), sorted(definition.outputs)
    feeds = [graph.get_tensor_by_name(definition.inputs[name].name) for name in inputs]
    fetches = [graph.get_tensor_by_name(definition.outputs[name].name) for name in outputs]
    with graph.as_default(), tf.device("/cpu:0"):
        part = _Part(graph, feeds, fetches)
        scheduled = tf.nondifferentiable_batch_function(
            num_batch_threads=options.num_batch_threads,
            max_batch_size=options.max_batch_size,
            batch_timeout_micros=options.batch_timeout_micros,
            allowed_batch_sizes=list(options.allowed_batch_sizes) or None,
            max_enqueued_batches=options.max_enqueued_batches,
            autograph=False,
            enable_large_batch_splitting=options.split_large,
        )(part)
        results = scheduled(*feeds)
    return Batched(
        {name: tensor.name for name, tensor in zip(inputs, feeds, strict=True)},
        {name: tensor.name for name, tensor in zip(outputs, results, strict=True)},
    )


class _Part:
    """The part of a graph between some tensors and others, as a function that can be traced.

    Variables and tables stay where they are: the function is handed their resources, it holds no copy.
    """

    def __init__(self, graph: Any, feeds: Sequence[Any], fetches: Sequence[Any]) -> None:
        self._feeds, self._fetches = feeds, fetches
        self._held: dict[str, Any] = {}
        self._used: set[str] = set()
        operations = self._operations()
        self._definition = graph.as_graph_def()
        kept = [node for node in self._definition.node if node.name in operations]
        for node in kept:
            # What a node is placed beside may have stayed outside.
            node.attr.pop("_class", None)
            inputs = [name for name in node.input if not name.startswith("^") or name[1:] in operations]
            del node.input[:]
            node.input.extend(inputs)
        del self._definition.node[:]
        self._definition.node.extend(kept)

    def __call__(self, *arguments: Any) -> list[Any]:
        import tensorflow as tf

        inside = tf.compat.v1.get_default_graph()
        given = {feed.name: argument for feed, argument in zip(self._feeds, arguments, strict=True)}
        given |= {name: inside.capture(tensor) for name, tensor in self._held.items()}
        wanted = [tensor.name for tensor in self._fetches if tensor.name not in given]
        made = tf.graph_util.import_graph_def(
            self._definition,
            input_map={name: tensor for name, tensor in given.items() if name in self._used},
            return_elements=wanted,
            name="",
        )
        known = given | dict(zip(wanted, made, strict=True))
        # An output may be an input unchanged, and a function may not return what it was given.
        return [tf.identity(known[tensor.name]) for tensor in self._fetches]

    def _operations(self) -> set[str]:
        """Collect the names of the operations that belong to the part, and the tensors that cross its border."""
        import tensorflow as tf

        fed = {tensor.name for tensor in self._feeds}
        found: set[str] = set()
        waiting = [tensor.op for tensor in self._fetches if tensor.name not in fed]
        while waiting:
            operation = waiting.pop()
            if operation.name in found:
                continue
            found.add(operation.name)
            for tensor in operation.inputs:
                if tensor.name in fed:
                    self._used.add(tensor.name)
                elif _is_state(tensor):
                    self._used.add(tensor.name)
                    # Variables of TensorFlow 1 are references, which no function takes: their value goes in.
                    held = tensor if tensor.dtype in (tf.resource, tf.variant) else tf.identity(tensor)
                    self._held[tensor.name] = held
                else:
                    waiting.append(tensor.op)
            waiting.extend(_ordinary(operation.control_inputs))
        return found


def _is_state(tensor: Any) -> bool:
    import tensorflow as tf

    return tensor.dtype in (tf.resource, tf.variant) or bool(tensor.dtype._is_ref_dtype)  # noqa: SLF001  Not public.


def _ordinary(operations: Iterable[Any]) -> list[Any]:
    return [operation for operation in operations if operation.type not in ("Placeholder", "PlaceholderWithDefault")]
