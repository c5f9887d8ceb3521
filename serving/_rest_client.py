"""The REST half of the client."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import httpx
import tenacity

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving._transport import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_RETRIES,
    Target,
    broken,
    is_loopback,
    timed_out,
    unreachable,
)
from penstock.serving.errors import Code, ServingError
from penstock.serving.models.state import State, VersionStatus

if TYPE_CHECKING:
    from penstock.serving.model_config import ModelEntry

_CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


class RestTransport:
    """Speaks to a server over HTTP.

    Args:
        address: ``http://host:port``, or ``host:port``.
        timeout: Seconds to wait for each part of an answer.
        retries: How often a call is tried again.
    """

    def __init__(self, address: str, timeout: float, retries: int) -> None:
        self._address = address if "://" in address else f"http://{address}"
        self._timeout = timeout
        self._retries = min(retries, MOST_RETRIES)
        # A proxy must not stand between this machine and itself.
        self._http = httpx.Client(
            base_url=_url(self._address), timeout=timeout, trust_env=not is_loopback(_url(self._address).host)
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, target: Target, *, instances: Sequence[Any] | None, inputs: Any) -> Any:
        """Return the predictions of rows, or the outputs for columns."""
        if instances is not None:
            return self._ask(target, "predict", {"instances": instances})["predictions"]
        return self._ask(target, "predict", {"inputs": inputs})["outputs"]

    def predict_arrays(self, target: Target, inputs: Mapping[str, Any]) -> NoReturn:
        """Refuse: JSON has no arrays.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "arrays are sent and received over gRPC only",
            received=f"{self._address}, for {target.model} with {', '.join(inputs)}",
            expected="the server's gRPC address, host:port",
        )

    def classify(self, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> Any:
        """Return a list of ``[class, score]`` for each example."""
        return self._ask(target, "classify", _examples(examples, context))["results"]

    def regress(self, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> Any:
        """Return the value of each example."""
        return self._ask(target, "regress", _examples(examples, context))["results"]

    def status(self, target: Target) -> list[VersionStatus]:
        """Return the states of a model's versions, newest first."""
        answer = self._send("GET", _path(target))
        found = [
            VersionStatus(
                int(one["version"]),
                State[one["state"]],
                Code[one["status"]["error_code"]],
                one["status"]["error_message"],
            )
            for one in answer["model_version_status"]
        ]
        return sorted(found, key=lambda status: -status.version)

    def metadata(self, target: Target) -> Any:
        """Return what the server says of the signatures."""
        return self._send("GET", f"{_path(target)}/metadata")

    def reload(self, entries: Sequence[ModelEntry]) -> NoReturn:
        """Refuse: the REST API has no such call.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "a server's config can only be replaced over gRPC",
            received=f"{self._address}, for {len(entries)} models",
            expected="the server's gRPC address, host:port",
        )

    def _ask(self, target: Target, verb: str, body: dict[str, Any]) -> Any:
        if target.signature:
            body = {"signature_name": target.signature, **body}
        return self._send("POST", f"{_path(target)}:{verb}", json.dumps(body, default=_plain).encode())

    def _send(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the JSON that the server answers with."""
        deadline = time.monotonic() + self._timeout
        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._retries + 1) | tenacity.stop_before_delay(self._timeout),
            wait=tenacity.wait_exponential_jitter(FIRST_WAIT, LONGEST_WAIT, jitter=FIRST_WAIT),
            retry=tenacity.retry_if_exception(_may_be_tried_again),
            reraise=True,
        )
        try:
            return attempts(self._send_once, method, path, body, deadline)
        except httpx.TimeoutException as error:
            raise timed_out(self._address, self._timeout) from error
        except httpx.ConnectError as error:
            raise unreachable(self._address, str(error)) from error
        except httpx.TransportError as error:
            raise broken(self._address, str(error) or type(error).__name__) from error

    def _send_once(self, method: str, path: str, body: bytes | None, deadline: float) -> Any:
        left = max(deadline - time.monotonic(), 0.001)
        headers = {"Content-Type": "application/json"} if body is not None else None
        answer = self._http.request(method, path, content=body, headers=headers, timeout=left)
        try:
            found = answer.json()
        except ValueError as error:
            raise self._no_model_server(answer) from error
        if answer.is_success:
            return found
        if not isinstance(found, dict) or "error" not in found:
            raise self._no_model_server(answer)
        raise ServingError(_CODES.get(answer.status_code, Code.UNKNOWN), str(found["error"]))

    def _no_model_server(self, answer: httpx.Response) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"{self._address} does not answer as a model server",
            received=f"HTTP {answer.status_code}: {answer.text[:80]!r}",
            expected="JSON",
            hint="is this the REST port? gRPC has another",
        )


def _url(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise _no_url(address) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise _no_url(address)
    return url


def _no_url(address: str) -> ConfigError:
    return ConfigError(f"{address!r} is no REST address", expected="http://host:port, e.g. http://127.0.0.1:8501")


def _path(target: Target) -> str:
    path = f"/v1/models/{quote(target.model, safe='')}"
    if target.version is not None:
        return f"{path}/versions/{target.version}"
    return f"{path}/labels/{quote(target.label, safe='')}" if target.label is not None else path


def _examples(examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"examples": examples, **({} if context is None else {"context": context})}


def _plain(value: Any) -> Any:
    """Turn what JSON does not know: bytes, arrays and NumPy's numbers."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ConfigError("a row holds what JSON cannot", received=f"{type(value).__name__} {value!r}"[:80])


def _may_be_tried_again(error: BaseException) -> bool:
    if isinstance(error, ServingError):
        return error.code == Code.UNAVAILABLE
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout)
