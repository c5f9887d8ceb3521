"""The answer to one request: everything between the bytes that came and the bytes that go. Knows no HTTP server."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any, Protocol

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.classify import classify, regress
from penstock.serving.inference.metadata import metadata
from penstock.serving.inference.model import Model
from penstock.serving.inference.predict import DEFAULT_SIGNATURE
from penstock.serving.metrics import Metrics, Timed
from penstock.serving.models.state import VersionStatus
from penstock.serving.rest import examples, replies
from penstock.serving.rest.decode import decode
from penstock.serving.rest.encode import encode
from penstock.serving.rest.paths import Target
from penstock.serving.rest.read import read, signature_name

_logger = logging.getLogger(__name__)


class Models(Protocol):
    """What is needed of a :class:`~penstock.serving.models.manager.ModelManager`."""

    def use(self, name: str, *, version: int | None = None, label: str | None = None) -> AbstractContextManager[Model]:
        """Hold a version while it answers."""

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Return the states of a model's versions."""


def answer(models: Models, metrics: Metrics, target: Target, body: bytes) -> bytes:
    """Return the JSON that answers a request.

    Args:
        models: The models that are served.
        metrics: What to count the model's time and the examples with.
        target: What is asked for.
        body: The request's body, uncompressed.

    Raises:
        ServingError: It cannot be answered. What nobody foresaw is logged, and the caller is told only its kind.
    """
    try:
        return _answer(models, metrics, target, body)
    except ServingError:
        raise
    except Exception as error:
        _logger.exception("a %s request for model %r failed", target.action, target.model)
        raise ServingError(Code.INTERNAL, f"Internal error: {type(error).__name__}; see the server's log") from error


def _answer(models: Models, metrics: Metrics, target: Target, body: bytes) -> bytes:
    if target.action == "status":
        # As in TensorFlow Serving, a label is not looked at: all versions are shown.
        return replies.states(models.status(target.model, target.version))
    if target.action == "metadata":
        with models.use(target.model, version=target.version, label=target.label) as servable:
            return replies.metadata(metadata(servable))
    if target.action == "predict":
        return _predict(models, metrics, target, body)
    return _classify_or_regress(models, metrics, target, body)


def _predict(models: Models, metrics: Metrics, target: Target, body: bytes) -> bytes:
    document = read(body)
    named = signature_name(document)
    with models.use(target.model, version=target.version, label=target.label) as servable:
        name = named or DEFAULT_SIGNATURE
        definition = servable.signatures.get(name)
        if definition is None:
            raise ServingError(Code.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def')
        types = {alias: info.dtype for alias, info in definition.inputs.items()}
        request = decode(document, body, types, named)
        timed = Timed(servable)
        outputs = timed.run(name, request.inputs)
    metrics.runtime(target.model, "Predict", timed.seconds)
    return encode(outputs, rows=request.rows)


def _classify_or_regress(models: Models, metrics: Metrics, target: Target, body: bytes) -> bytes:
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    regression = target.action == "regress"
    request: Any = regression_pb2.RegressionRequest() if regression else classification_pb2.ClassificationRequest()
    document = read(body)
    request.model_spec.name = target.model
    request.model_spec.signature_name = _text(signature_name(document) or "")
    examples.fill(request.input, document)
    with models.use(target.model, version=target.version, label=target.label) as servable:
        timed = Timed(servable)
        response = regress(timed, request) if regression else classify(timed, request)
    metrics.runtime(target.model, target.action.capitalize(), timed.seconds)
    return examples.regressions(response.result) if regression else examples.classifications(response.result)


def _text(name: str) -> str:
    """Return a name as a proto3 string can hold it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
