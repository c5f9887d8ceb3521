"""Scores with a model server over gRPC: requests in progress are bounded, and what passes is tried again.

A label or "the newest" is turned into a version once, before the first row, and every worker asks for exactly that one:
a model that is replaced during a run is not mixed in.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.components.batch_inference.scoring.scorer import chosen_signature
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.serving.client import Client
from penstock.serving.errors import Code, ServingError
from penstock.serving.saved_model import SignatureInfo, TensorInfo

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 10.0
_PASSING = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED)
_TOO_LARGE = "message larger than max"
"""What gRPC says of a request or an answer beyond a limit of size, under the code RESOURCE_EXHAUSTED."""
_TYPES = {"FLOAT": "float32", "DOUBLE": "float64", "HALF": "float16"}
"""TensorFlow's own names of types, where they are not those of the enum in small letters."""


@dataclass(frozen=True)
class RemoteSpec:
    """What a worker needs to know to ask a model server.

    Attributes:
        grpc: ``host:port``.
        model: The model's name there.
        label: The label whose version answers; None once it is pinned, or for the newest version.
        version: The version that answers; None until it is pinned.
        signature: The signature's name.
        outputs: The outputs to keep; all when empty.
        in_flight: Requests in progress at the same time, for each process.
        deadline_seconds: Seconds that one request may take, before it counts as failed.
        retries: How often a request is tried again when the server is away, overloaded or late.
    """

    grpc: str
    model: str
    label: str | None = None
    version: int | None = None
    signature: str = "serving_default"
    outputs: tuple[str, ...] = ()
    in_flight: int = 4
    deadline_seconds: float = 30.0
    retries: int = 5

    def pinned(self) -> RemoteSpec:
        """Return what asks for exactly the version that answers now.

        Nothing is tried again: whoever starts a run wants to know at once that nobody is there.

        Raises:
            EnvironmentProblem: No server can be reached, or it does not answer in time.
            ArtifactError: The server has no such model, version or label.
            ConfigError: The model has no such signature or output.
        """
        with self._client() as client:
            version, _ = _patiently(replace(self, retries=0), lambda: _ask(self, client))
        return replace(self, label=None, version=version)

    def open(self) -> RemoteScorer:
        """Connect and read the signature.

        Raises:
            EnvironmentProblem: No server can be reached, or it does not answer in time.
            ArtifactError: The server has no such model or version.
            ConfigError: The model has no such signature or output.
        """
        client = self._client()
        try:
            _, signature = _patiently(self, lambda: _ask(self, client))
        except BaseException:
            client.close()
            raise
        return RemoteScorer(self, client, signature)

    def _client(self) -> Client:
        # Retries are ours: the channel's own know neither of an overloaded server nor of one that is late.
        return Client(grpc=self.grpc, timeout=self.deadline_seconds, retries=0)


class RemoteScorer:
    """Scores batches with a model server; may be shared by threads. Made by :meth:`RemoteSpec.open`.

    Attributes:
        signature: The signature that is asked.
        parallelism: Requests in progress at the same time; a call beyond them waits.
    """

    def __init__(self, spec: RemoteSpec, client: Client, signature: SignatureInfo) -> None:
        self.signature = signature
        self.parallelism = spec.in_flight
        self._spec = spec
        self._client = client
        self._places = threading.BoundedSemaphore(spec.in_flight)

    def score(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs for a batch.

        Args:
            inputs: An array for each input, of exactly the signature's types, first dimension the rows.

        Raises:
            ServingError: The model cannot answer for this batch, or the request is larger than the server takes.
            EnvironmentProblem: The server is away, overloaded or late, all retries included, or no longer has the
                version that the run began with.
        """
        spec = self._spec
        try:
            with self._places:
                outputs = _patiently(
                    spec,
                    lambda: self._client.predict_arrays(
                        spec.model, inputs, version=spec.version, label=spec.label, signature=spec.signature
                    ),
                )
        except ServingError as error:
            if error.code == Code.NOT_FOUND:
                raise _gone(spec, error) from error
            raise
        return {output.name: outputs[output.name] for output in self.signature.outputs}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _patiently(spec: RemoteSpec, call: Callable[[], _T]) -> _T:
    """Call until it succeeds, with longer and longer waits where the cause may pass."""
    for attempt in range(spec.retries):
        try:
            return call()
        except (ServingError, EnvironmentProblem) as error:
            if not _may_pass(error):
                raise
            _LOG.info("%s: asking again: %s", spec.grpc, error)
        # Workers that were refused at the same time shall not come back at the same time.
        time.sleep(min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.5))  # noqa: S311  No secret.
    try:
        return call()
    except (ServingError, EnvironmentProblem) as error:
        if not _may_pass(error):
            raise
        raise _gave_up(spec, error) from error


def _may_pass(error: ServingError | EnvironmentProblem) -> bool:
    """Whether asking again may help; the client's own errors are all about a connection or the time."""
    if isinstance(error, ServingError):
        return error.code in _PASSING and _TOO_LARGE not in error.message
    return True


def _gone(spec: RemoteSpec, error: ServingError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the server at {spec.grpc} no longer answers with version {spec.version} of {spec.model}",
        received=str(error),
        expected="the version that the run began with, until it ends",
        hint="keep that version in service meanwhile, and run it again",
    )


def _gave_up(spec: RemoteSpec, error: ServingError | EnvironmentProblem) -> EnvironmentProblem:
    tries = f" after {spec.retries + 1} attempts" if spec.retries else ""
    if isinstance(error, EnvironmentProblem):
        return EnvironmentProblem(
            f"{error.what}{tries}", received=error.received, expected=error.expected, hint=error.hint
        )
    return EnvironmentProblem(
        f"the server at {spec.grpc} does not answer{tries}",
        received=str(error),
        hint="look at the server's log; lower `in_flight` or `batch.max_rows` if it is overloaded",
    )


def _ask(spec: RemoteSpec, client: Client) -> tuple[int, SignatureInfo]:
    """Return the version that answers, and its signature."""
    try:
        found = client.metadata(spec.model, version=spec.version, label=spec.label)
    except ServingError as error:
        if error.code in _PASSING:
            raise
        raise ArtifactError(
            f"the server at {spec.grpc} has no {_wanted(spec)}",
            received=str(error),
            hint="look at what it serves: penstock models list",
        ) from error
    return int(found["model_spec"]["version"]), _signature(spec, found["metadata"]["signature_def"]["signature_def"])


def _wanted(spec: RemoteSpec) -> str:
    if spec.version is not None:
        return f"version {spec.version} of a model {spec.model!r}"
    return f"model {spec.model!r}" + (f" with the label {spec.label!r}" if spec.label else "")


def _signature(spec: RemoteSpec, definitions: Mapping[str, Any]) -> SignatureInfo:
    where = f"{spec.model} at {spec.grpc}"
    found = {
        name: SignatureInfo(name, _tensors(definition["inputs"]), _tensors(definition["outputs"]))
        for name, definition in definitions.items()
        if definition["inputs"]
    }
    return chosen_signature(found, spec.signature, spec.outputs, where=where)


def _tensors(tensors: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(name, _type(info["dtype"]), _shape(info)) for name, info in sorted(tensors.items()))


def _type(name: str) -> str:
    short = name.removeprefix("DT_")
    return _TYPES.get(short, short.lower())


def _shape(info: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    shape = info.get("tensor_shape") or {}
    if shape.get("unknown_rank"):
        return None
    return tuple(None if int(dim["size"]) < 0 else int(dim["size"]) for dim in shape.get("dim", ()))
