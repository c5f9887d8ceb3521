"""Look into a SavedModel and ask it as TensorFlow Serving does: a clean graph, a session, the ``serve`` tag.

``tf.saved_model.load`` is forgiving where a model server is not (it revives objects that Python still holds), so a
model that answers here answers there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.closest import did_you_mean
from penstock.errors import ArtifactError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

SERVE_TAG = "serve"
_INIT_OP = "__saved_model_init_op"
_NOISE = re.compile(r"^(Graph execution error:|Detected at node.*|<stack traces.*|File \".*|\[\[.*|\d+ root error.*)?$")
_DECORATION = re.compile(
    r"^\{\{function_node [^}]*\}\} |^\(\d+\) \w+: |Error in user-defined function passed to \S+ transformation with "
    r"iterator: \S+: | *\[Op:\w+\]( name: ?)?$"
)


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature.

    Args:
        name: The name that callers use.
        dtype: TensorFlow's name, e.g. ``float32`` or ``string``.
        shape: One entry a dimension, None where any size is accepted; None if even the rank is open.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class SignatureInfo:
    """One function of a SavedModel that can be called by name; inputs and outputs are sorted by name."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class LoadedModel:
    """A SavedModel held by a session of its own; made by :func:`load_in_graph`."""

    def __init__(self, path: Path, session: Any, signature_defs: Mapping[str, Any]) -> None:
        self._path = path
        self._session = session
        self._defs = {name: value for name, value in signature_defs.items() if name != _INIT_OP}
        self.signatures = _signature_infos(self._defs)

    def call(self, signature: str, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        """Answer one request.

        Args:
            signature: The signature's name.
            inputs: An array for each input of the signature, first dimension the batch.

        Returns:
            An array for each output.

        Raises:
            ArtifactError: No such signature, other inputs than it takes, or TensorFlow could not compute the answer.
        """
        import tensorflow as tf

        definition = self._definition(signature)
        if set(inputs) != set(definition.inputs):
            raise ArtifactError(
                f"signature {signature!r} was called with other inputs than it takes",
                where=str(self._path),
                received=", ".join(sorted(inputs)) or "no input",
                expected=", ".join(sorted(definition.inputs)),
            )
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetch = {name: info.name for name, info in definition.outputs.items()}
        try:
            return self._session.run(fetch, feed)  # type: ignore[no-any-return]
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise ArtifactError(
                f"signature {signature!r} cannot answer: {tensorflow_message(error)}", where=str(self._path)
            ) from error

    def _definition(self, signature: str) -> Any:
        if signature not in self._defs:
            raise ArtifactError(
                f"the SavedModel has no signature {signature!r}",
                where=str(self._path),
                received=signature,
                expected=f"one of {', '.join(sorted(self._defs))}" if self._defs else "a model with signatures",
                hint=did_you_mean(signature, self._defs),
            )
        return self._defs[signature]


def read_signatures(path: str | Path) -> tuple[SignatureInfo, ...]:
    """Return the signatures of a SavedModel, sorted by name, without loading its weights.

    Raises:
        ArtifactError: The folder holds no SavedModel, a damaged one, or one without the ``serve`` tag.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = saved_model_file(Path(path))
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise _damaged(file, str(error)) from error
    for graph in saved_model.meta_graphs:
        if SERVE_TAG in graph.meta_info_def.tags:
            return _signature_infos({k: v for k, v in graph.signature_def.items() if k != _INIT_OP})
    raise _without_serve_tag(Path(path), [list(graph.meta_info_def.tags) for graph in saved_model.meta_graphs])


@contextmanager
def load_in_graph(path: str | Path) -> Iterator[LoadedModel]:
    """Load a SavedModel into a fresh graph and session, which end with the block.

    Raises:
        ArtifactError: The folder holds no SavedModel, a damaged one, or one without the ``serve`` tag.
    """
    import tensorflow as tf

    folder = Path(path)
    read_signatures(folder)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            graph = tf.compat.v1.saved_model.load(session, [SERVE_TAG], str(folder))
        except (tf.errors.OpError, OSError, ValueError, RuntimeError) as error:
            raise _damaged(folder, tensorflow_message(error)) from error
        yield LoadedModel(folder, session, graph.signature_def)


def tensorflow_message(error: BaseException) -> str:
    """Return the sentence of a TensorFlow error that says what is wrong, without node names and stack."""
    text = getattr(error, "message", None) or str(error)
    lines = [_DECORATION.sub("", line).strip() for line in text.splitlines()]
    telling = [line for line in lines if not _NOISE.match(line)]
    return telling[0] if telling else type(error).__name__


def saved_model_file(folder: Path) -> Path:
    """Return the file that makes a folder a SavedModel.

    Raises:
        ArtifactError: It is not there.
    """
    file = folder / "saved_model.pb"
    if not file.is_file():
        found = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else None
        raise ArtifactError(
            "the folder holds no SavedModel",
            where=str(folder),
            received="no such folder" if found is None else f"files: {', '.join(found[:10]) or 'none'}",
            expected="a folder with saved_model.pb and variables/",
        )
    return file


def _damaged(path: Path, message: str) -> ArtifactError:
    return ArtifactError(
        f"the SavedModel cannot be read: {message}", where=str(path), hint="export it again; a copy may be incomplete"
    )


def _without_serve_tag(path: Path, tags: list[list[str]]) -> ArtifactError:
    return ArtifactError(
        f"the SavedModel has no graph tagged {SERVE_TAG!r}",
        where=str(path),
        received=f"tags {tags}",
        expected="an export for serving",
    )


def _signature_infos(definitions: Mapping[str, Any]) -> tuple[SignatureInfo, ...]:
    return tuple(
        SignatureInfo(name, _tensor_infos(definition.inputs), _tensor_infos(definition.outputs))
        for name, definition in sorted(definitions.items())
    )


def _tensor_infos(tensors: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
    import tensorflow as tf

    return tuple(
        TensorInfo(name, tf.as_dtype(info.dtype).name, _shape(info.tensor_shape))
        for name, info in sorted(tensors.items())
    )


def _shape(proto: Any) -> tuple[int | None, ...] | None:
    if proto.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in proto.dim)
