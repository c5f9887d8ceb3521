"""A client of any server that speaks TensorFlow Serving's contract, over REST or gRPC. Never imports TensorFlow.

Both transports take and give the same plain data, as the REST API has it: rows or columns in, ``{"b64": …}`` for bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving._transport import Target, Transport
from penstock.serving.errors import Code, ServingError
from penstock.serving.models.state import State, VersionStatus

if TYPE_CHECKING:
    import numpy as np

    from penstock.serving.model_config import ModelEntry

_POLL_SECONDS = 0.05


class Client:
    """Asks a model server. May be shared by threads; close it, or use it as a context manager.

    Every method raises:
        ServingError: The server refused; code and message are its own.
        EnvironmentProblem: No server can be reached, it went away in the middle, or it has not answered in time.

    Args:
        rest: ``http://host:port``; either this or ``grpc``.
        grpc: ``host:port``.
        timeout: Seconds that one call may take, retries included.
        retries: How often a call is tried again, when the server was UNAVAILABLE or the connection failed; at most 4.
    """

    def __init__(
        self, *, rest: str | None = None, grpc: str | None = None, timeout: float = 10.0, retries: int = 3
    ) -> None:
        if (rest is None) == (grpc is None):
            raise ConfigError(
                "a client needs one address", expected="either rest='http://host:port' or grpc='host:port'"
            )
        self.address = rest or grpc or ""
        self._transport = _transport(rest, grpc, timeout, retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def predict(
        self,
        model: str,
        *,
        instances: Sequence[Any] | None = None,
        inputs: Any = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
    ) -> Any:
        """Return the model's answer.

        Args:
            model: The model's name.
            instances: Rows: an object of all inputs each, or bare values for a model with a single input.
            inputs: Columns instead of rows: input name → batch, or the bare batch. Arrays are taken as they are.
            version: Ask this version.
            label: Ask the version that this label names.
            signature: Ask this signature; the server's default when None.

        Returns:
            One prediction a row for ``instances``; output name → batch for ``inputs``. A single output loses its name.
        """
        if (instances is None) == (inputs is None):
            raise ConfigError("a prediction needs either rows (instances) or columns (inputs)")
        return self._transport.predict(_target(model, version, label, signature), instances=instances, inputs=inputs)

    def predict_arrays(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return the outputs for arrays of exactly the signature's types, as arrays; texts are bytes. gRPC only.

        Raises:
            ConfigError: The client is one for REST, which has no arrays.
        """
        return self._transport.predict_arrays(_target(model, version, label, signature), inputs)

    def classify(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
    ) -> list[list[list[Any]]]:
        """Return a list of ``[class, score]`` for each example.

        Args:
            model: The model's name.
            examples: Feature name → value, or list of values, each.
            context: Features that all examples share.
            version: Ask this version.
            label: Ask the version that this label names.
            signature: Ask this signature; the server's default when None.
        """
        return self._transport.classify(_target(model, version, label, signature), examples, context)  # type: ignore[no-any-return]

    def regress(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
    ) -> list[float]:
        """Return a value for each example; arguments as for :meth:`classify`."""
        return self._transport.regress(_target(model, version, label, signature), examples, context)  # type: ignore[no-any-return]

    def status(self, model: str, version: int | None = None) -> list[VersionStatus]:
        """Return the states of all versions of a model that the server knows, or of one, newest first."""
        return self._transport.status(Target(model, version))

    def metadata(self, model: str, *, version: int | None = None, label: str | None = None) -> dict[str, Any]:
        """Return what the REST API says of a model's signatures: ``model_spec`` and ``metadata.signature_def``."""
        return self._transport.metadata(_target(model, version, label, None))  # type: ignore[no-any-return]

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the server's whole config; returns when every new model has a version AVAILABLE. gRPC only.

        Raises:
            ConfigError: The client is one for REST, which knows no reload.
        """
        self._transport.reload(entries)

    def wait_available(
        self, model: str, version: int, timeout: float, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Return when the server answers with a version.

        Args:
            model: The model's name.
            version: The version.
            timeout: Seconds to wait.
            sleep: Called between two looks.

        Raises:
            ServingError: The version failed to load; code and message are the load's.
            EnvironmentProblem: It is not AVAILABLE in time, or the server cannot be reached.
        """
        deadline = time.monotonic() + timeout
        while (state := self._state(model, version)) != State.AVAILABLE.name:
            if time.monotonic() >= deadline:
                raise EnvironmentProblem(
                    f"version {version} of {model} is not AVAILABLE after {timeout:g} s",
                    where=self.address,
                    received=state,
                    expected=State.AVAILABLE.name,
                    hint="look at the server's log; a large model may need a longer wait",
                )
            sleep(_POLL_SECONDS)

    def _state(self, model: str, version: int) -> str:
        """Return the name of a version's state, or why the server has none yet."""
        try:
            (status, *_) = self.status(model, version)
        except ServingError as error:
            if error.code != Code.NOT_FOUND:
                raise
            return error.message  # The server has not looked at its folders since.
        if status.state == State.END and status.code != Code.OK:
            raise ServingError(status.code, status.message)
        return status.state.name


def _transport(rest: str | None, grpc: str | None, timeout: float, retries: int) -> Transport:
    if grpc is not None:
        from penstock.serving._grpc_client import GrpcTransport

        return GrpcTransport(grpc, timeout, retries)
    from penstock.serving._rest_client import RestTransport

    return RestTransport(rest or "", timeout, retries)


def _target(model: str, version: int | None, label: str | None, signature: str | None) -> Target:
    if version is not None and label is not None:
        raise ConfigError(
            "a request names either a version or a label, not both", received=f"version {version} and label {label!r}"
        )
    return Target(model, version, label, signature)
