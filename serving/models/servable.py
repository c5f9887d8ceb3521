"""One loaded version of a model: a session, and a compiled call for each signature."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.serving.errors import Code, ServingError

if TYPE_CHECKING:
    from penstock.serving.models.batching import Batched

_LOG = logging.getLogger(__name__)
_MOST_CALLS = 100
"""Choices of outputs that are compiled. Callers make them; further ones compute all outputs and pass on some."""


@dataclass(frozen=True)
class _Call:
    """A signature with a choice of outputs, compiled: positional arrays in, a list of arrays out."""

    inputs: tuple[str, ...]
    names: frozenset[str]
    outputs: tuple[str, ...]
    run: Callable[..., list[np.ndarray]]


class Servable:
    """One loaded version. All of it may be used by many threads at once.

    Args:
        name: Name of the model.
        version: Its version.
        session: A TensorFlow 1 session that holds the loaded graph, and from now on belongs to the servable.
        meta_graph: The ``MetaGraphDef`` that was loaded.
        batched: Signature → its tensors that lead through the batch scheduler; others run on their own.

    Attributes:
        name: As above.
        version: As above.
        signatures: Name → ``SignatureDef``; exports of TensorFlow 2 have ``__saved_model_init_op`` among them.
        meta_graph: The ``MetaInfoDef`` of the graph: tags, TensorFlow's version, operations.
        batched: The signatures whose calls wait in a queue for others; they are for threads that may wait.
    """

    def __init__(
        self, name: str, version: int, session: Any, meta_graph: Any, batched: Mapping[str, Batched] | None = None
    ) -> None:
        self.name = name
        self.version = version
        self.signatures: Mapping[str, Any] = dict(meta_graph.signature_def)
        self.meta_graph = meta_graph.meta_info_def
        self._session = session
        self._batched = batched or {}
        self.batched = frozenset(self._batched)
        self._calls: dict[tuple[str, tuple[str, ...]], _Call] = {}
        self._compiling = threading.Lock()
        self._closed = False

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Answer one request.

        Args:
            signature: Name of the signature.
            inputs: An array of the signature's dtype for each of its inputs; strings as objects of type ``bytes``.
            outputs: The outputs to compute; none means all of them.

        Returns:
            An array for each output, in the order asked for, or sorted by name.

        Raises:
            ServingError: No such signature or output, other inputs than the signature takes, or what TensorFlow says.
        """
        from tensorflow.errors import OpError

        key = (signature, tuple(outputs))
        try:
            call = self._calls.get(key) or self._compile(*key)
            if inputs.keys() != call.names:
                raise _other_inputs(inputs, call.inputs)
            values = call.run(*[inputs[name] for name in call.inputs])
        except OpError as error:
            raise ServingError(code_of(error), error.message) from error
        except UnicodeDecodeError as error:
            # TensorFlow's message quotes the request, which is no UTF-8. What it says of the code is lost then.
            raise ServingError(Code.INVALID_ARGUMENT, error.object.decode("utf-8", "replace")) from error
        found = dict(zip(call.outputs, map(_array, values), strict=True))
        return {alias: found[alias] for alias in outputs} if outputs else found

    def prepare(self) -> None:
        """Compile every signature that takes inputs, so that the first request need not wait for it."""
        from tensorflow.errors import OpError

        for name, definition in self.signatures.items():
            if definition.inputs:
                try:
                    self._compile(name, ())
                except OpError as error:
                    # The model is served all the same, as by TF Serving; requests to this signature get the error.
                    _LOG.warning("the signature %s of %s cannot be run: %s", name, self.name, error.message)

    def close(self) -> None:
        """Free the memory. Requests that still run, or come later, fail with ``CANCELLED``."""
        with self._compiling:
            self._closed = True
            self._calls.clear()
            self._session.close()

    def _compile(self, signature: str, outputs: tuple[str, ...]) -> _Call:
        definition = self._definition(signature)
        _check_outputs(definition, outputs)
        everything = tuple(sorted(definition.outputs))
        chosen = tuple(sorted(outputs)) or everything
        if len(self._calls) >= _MOST_CALLS:
            chosen = everything
        with self._compiling:
            if self._closed:
                raise ServingError(Code.CANCELLED, f"version {self.version} of {self.name} is unloaded")
            # All outputs, whether they were named or not and in whatever order, are one call.
            key = (signature, () if chosen == everything else chosen)
            if key not in self._calls:
                self._calls[key] = self._compiled(signature, definition, chosen)
            if len(self._calls) < _MOST_CALLS:
                self._calls[signature, outputs] = self._calls[key]
            return self._calls[key]

    def _compiled(self, signature: str, definition: Any, outputs: tuple[str, ...]) -> _Call:
        from tensorflow.core.protobuf.config_pb2 import CallableOptions

        inputs = tuple(sorted(definition.inputs))
        batched = self._batched.get(signature)
        options = CallableOptions(
            feed=[batched.inputs[name] if batched else definition.inputs[name].name for name in inputs],
            fetch=[batched.outputs[name] if batched else definition.outputs[name].name for name in outputs],
        )
        # The graph runs in the caller's thread: handing it to TensorFlow's pool and waiting there takes three times as
        # long as a small model (22 µs against 7 µs), and many callers keep the cores busy anyway. Large operations
        # still use all cores.
        options.run_options.inter_op_thread_pool = -1
        # The public make_callable falls back to Session.run as soon as there are feeds, which takes twice as long.
        run = self._session._make_callable_from_options(options)  # noqa: SLF001
        return _Call(inputs, frozenset(inputs), outputs, run)

    def _definition(self, signature: str) -> Any:
        if signature not in self.signatures:
            raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.')
        return self.signatures[signature]


def _array(value: Any) -> np.ndarray:
    """Return an output as an array; TensorFlow hands out a single string as ``bytes``."""
    return np.array(value, object) if isinstance(value, bytes) else value


def _check_outputs(definition: Any, outputs: Sequence[str]) -> None:
    for position, alias in enumerate(outputs):
        if alias not in definition.outputs:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{','.join(sorted(definition.outputs))}}}.",
            )
        if alias in outputs[:position]:
            raise ServingError(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {alias}")


def code_of(error: Any) -> Code:
    """Return the code of an error of TensorFlow (``tf.errors.OpError``)."""
    return Code(error.error_code) if error.error_code in Code.__members__.values() else Code.UNKNOWN


def _other_inputs(given: Mapping[str, Any], wanted: Sequence[str]) -> ServingError:
    sent, required = set(given), set(wanted)

    def joined(names: set[str]) -> str:
        return ",".join(sorted(names))

    return ServingError(
        Code.INVALID_ARGUMENT,
        f"input size does not match signature: {len(sent)}!={len(required)} len({{{joined(sent)}}}) != "
        f"len({{{joined(required)}}}). Sent extra: {{{joined(sent - required)}}}. "
        f"Missing but required: {{{joined(required - sent)}}}.",
    )
