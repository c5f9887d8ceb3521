"""The answer to one request: everything between the bytes that came and the bytes that go. Knows no HTTP server."""

from __future__ import annotations

import logging
import math
import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.classify import classify, regress, unsent
from penstock.serving.inference.metadata import metadata
from penstock.serving.inference.model import Model
from penstock.serving.inference.predict import DEFAULT_SIGNATURE
from penstock.serving.inference.size import check_expanded
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


class Answers:
    """Makes answers. May be used by many threads at once.

    Args:
        models: The models that are served.
        metrics: What to count the models' time with.
        largest: Bytes that the records of a request may take, once each is merged with the context of all.
    """

    def __init__(self, models: Models, metrics: Metrics, largest: int) -> None:
        self._models = models
        self._metrics = metrics
        self._largest = largest

    def answer(self, target: Target, body: bytes, deadline: float = math.inf) -> bytes:
        """Return the JSON that answers a request.

        Args:
            target: What is asked for.
            body: The request's body, uncompressed.
            deadline: The time, by ``time.monotonic``, from which nobody waits for the answer: no model is called then.

        Raises:
            ServingError: It cannot be answered. What nobody foresaw is logged, and the caller is told only its kind.
        """
        try:
            return self._answer(target, body, deadline)
        except ServingError:
            raise
        except Exception as error:
            _logger.exception("a %s request for model %r failed", target.action, target.model)
            raise ServingError(
                Code.INTERNAL, f"Internal error: {type(error).__name__}; see the server's log"
            ) from error

    def _answer(self, target: Target, body: bytes, deadline: float) -> bytes:
        if target.action == "status":
            # As in TensorFlow Serving, a label is not looked at: all versions are shown.
            return replies.states(self._models.status(target.model, target.version))
        if target.action == "metadata":
            with self._use(target) as model:
                return replies.metadata(metadata(model))
        if target.action == "predict":
            return self._predict(target, body, deadline)
        return self._classify_or_regress(target, body, deadline)

    def _predict(self, target: Target, body: bytes, deadline: float) -> bytes:
        document = read(body)
        named = signature_name(document)
        with self._use(target) as model:
            name = named or DEFAULT_SIGNATURE
            definition = model.signatures.get(name)
            if definition is None:
                raise ServingError(
                    Code.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def'
                )
            types = {alias: info.dtype for alias, info in definition.inputs.items()}
            request = decode(document, body, types, named)
            check_deadline(deadline)
            timed = Timed(model)
            outputs = timed.run(name, request.inputs)
        self._metrics.runtime(target.model, "Predict", timed.seconds)
        return encode(outputs, {alias: info.dtype for alias, info in definition.outputs.items()}, rows=request.rows)

    def _classify_or_regress(self, target: Target, body: bytes, deadline: float) -> bytes:
        from tensorflow_serving.apis import classification_pb2, regression_pb2

        regression = target.action == "regress"
        request: Any = regression_pb2.RegressionRequest() if regression else classification_pb2.ClassificationRequest()
        document = read(body)
        request.model_spec.name = target.model
        request.model_spec.signature_name = _text(signature_name(document) or "")
        examples.fill(request.input, document)
        check_expanded(request.ByteSize(), unsent(request), self._largest)
        check_deadline(deadline)
        with self._use(target) as model:
            timed = Timed(model)
            response = regress(timed, request) if regression else classify(timed, request)
        self._metrics.runtime(target.model, target.action.capitalize(), timed.seconds)
        return examples.regressions(response.result) if regression else examples.classifications(response.result)

    def _use(self, target: Target) -> AbstractContextManager[Model]:
        return self._models.use(target.model, version=target.version, label=target.label)


def check_deadline(deadline: float) -> None:
    """Give up what nobody waits for any more.

    Raises:
        ServingError: DEADLINE_EXCEEDED, in TensorFlow Serving's words.
    """
    if time.monotonic() >= deadline:
        raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")


def _text(name: str) -> str:
    """Return a name as a proto3 string can hold it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
