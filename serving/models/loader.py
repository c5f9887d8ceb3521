"""Loads one version from its folder: checks it, restores it, warms it up."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from penstock.errors import ArtifactError
from penstock.serving.batching_config import BatchingOptions
from penstock.serving.errors import Code, ServingError
from penstock.serving.manifest import MANIFEST, verify
from penstock.serving.models.servable import Servable, code_of
from penstock.serving.saved_model import tensorflow_message

_LOG = logging.getLogger(__name__)
_TAG = "serve"
_FILES = ("saved_model.pb", "saved_model.pbtxt")


class DamagedModelError(ServingError):
    """The files are not what was published, so loading them again cannot help."""


def load_servable(
    name: str,
    version: int,
    path: Path,
    *,
    batching: BatchingOptions | None = None,
    per_model_batching: bool = True,
    warm_up: bool = True,
) -> Servable:
    """Load a version, ready to answer.

    Args:
        name: Name of the model.
        version: Its version.
        path: Folder of the SavedModel. One that we published is hashed again first.
        batching: How to batch requests; None: not at all.
        per_model_batching: Batch as the SavedModel's own ``batching_params.pbtxt`` says, and not at all where it has
            none; ``batching`` then only says how many threads run batches.
        warm_up: Replay the warm-up requests in the SavedModel; one that fails, fails the load.

    Raises:
        ServingError: The files are not what was published (``DATA_LOSS``), are no SavedModel or a damaged one, or a
            warm-up request failed.
    """
    from penstock.serving.models.batching import chosen_batching
    from penstock.serving.models.warmup import replay

    _verify(path)
    with ExitStack() as undo:
        servable = _restore(name, version, path, chosen_batching(path, batching, per_model=per_model_batching))
        undo.callback(servable.close)
        servable.prepare()
        if warm_up:
            _LOG.info("version %d of %s is warm after %d requests", version, name, replay(servable, path))
        undo.pop_all()
    return servable


def _verify(path: Path) -> None:
    if not (path / MANIFEST).exists():
        return
    try:
        verify(path)
    except ArtifactError as error:
        raise DamagedModelError(Code.DATA_LOSS, f"{error.what}: {error.received}") from error


def _restore(name: str, version: int, path: Path, batching: BatchingOptions | None) -> Servable:
    import tensorflow as tf

    # `tf.compat.v1.saved_model.load` is this class behind a warning that it is deprecated; what the warning advises
    # loads no session.
    from tensorflow.python.saved_model.loader_impl import SavedModelLoader

    from penstock.serving.models.batching import add_batching

    if not any((path / file).is_file() for file in _FILES):
        raise ServingError(
            Code.NOT_FOUND, f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}"
        )
    graph = tf.Graph()
    with graph.as_default(), ExitStack() as undo, _readable(path):
        session = tf.compat.v1.Session(graph=graph)
        undo.callback(session.close)
        meta_graph = SavedModelLoader(str(path)).load(session, [_TAG])
        batched = add_batching(graph, meta_graph.signature_def, batching) if batching else {}
        # From now on many threads use the graph.
        graph.finalize()
        undo.pop_all()
    return Servable(name, version, session, meta_graph, batched)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what TensorFlow raises about a damaged SavedModel into one error; the types are those that it does raise."""
    from tensorflow.errors import OpError

    try:
        yield
    except OpError as error:
        raise ServingError(code_of(error), f"{path} cannot be loaded: {tensorflow_message(error)}") from error
    except RuntimeError as error:
        raise ServingError(
            Code.NOT_FOUND, f"Could not find meta graph def matching supplied tags: {{ {_TAG} }} in {path}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServingError(Code.DATA_LOSS, f"{path} cannot be loaded: {tensorflow_message(error)}") from error
