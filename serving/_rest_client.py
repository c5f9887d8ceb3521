"""The REST half of the client."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
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
    odd,
    timed_out,
    unreachable,
)
from penstock.serving.errors import Code, ServingError
from penstock.serving.models.state import State, VersionStatus

if TYPE_CHECKING:
    from penstock.serving.model_config import ModelEntry

_CONNECTION_ENDED = ("disconnected", "closed connection")
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
        timeout: Seconds of one call, retries included.
        retries: How often a call is tried again.
    """

    def __init__(self, address: str, timeout: float, retries: int) -> None:
        self._address = address if "://" in address else f"http://{address}"
        self._timeout = timeout
        self._retries = min(retries, MOST_RETRIES)
        # A proxy must not stand between this machine and itself. httpx's timeout is one of each wait for some bytes;
        # that of a whole call is the event loop's.
        self._http = httpx.AsyncClient(
            base_url=_url(self._address), timeout=timeout, trust_env=not is_loopback(_url(self._address).host)
        )
        self._loop = _Loop()

    def close(self) -> None:
        """Close the connections."""
        self._loop.close(self._http.aclose)

    def predict(self, target: Target, *, instances: Sequence[Any] | None, inputs: Any) -> Any:
        """Return the predictions of rows, or the outputs for columns."""
        if instances is not None:
            return self._ask(target, "predict", {"instances": instances}, "predictions")
        return self._ask(target, "predict", {"inputs": inputs}, "outputs")

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
        return self._ask(target, "classify", _examples(examples, context), "results")

    def regress(self, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> Any:
        """Return the value of each example."""
        return self._ask(target, "regress", _examples(examples, context), "results")

    def status(self, target: Target) -> list[VersionStatus]:
        """Return the states of a model's versions, newest first."""
        answer = self._send("GET", _path(target))
        try:
            found = [_status(one) for one in answer["model_version_status"]]
        except (LookupError, TypeError, ValueError) as error:
            raise self._odd(answer, "the states of versions") from error
        return sorted(found, key=lambda status: -status.version)

    def metadata(self, target: Target) -> Any:
        """Return what the server says of the signatures."""
        answer = self._send("GET", f"{_path(target)}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
        except (LookupError, TypeError) as error:
            raise self._odd(answer, "signatures") from error
        if not isinstance(signatures, dict) or not all(isinstance(one, dict) for one in signatures.values()):
            raise self._odd(answer, "signatures")
        return answer

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

    def _ask(self, target: Target, verb: str, body: dict[str, Any], field: str) -> Any:
        """Return the one field that an answer has."""
        if target.signature:
            body = {"signature_name": target.signature, **body}
        answer = self._send("POST", f"{_path(target)}:{verb}", _encoded(body))
        if not isinstance(answer, dict) or field not in answer:
            raise self._odd(answer, field)
        return answer[field]

    def _send(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the JSON that the server answers with."""
        try:
            return self._loop.run(lambda: self._send_in_time(method, path, body))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise timed_out(self._address, self._timeout) from error
        except httpx.ConnectError as error:
            raise unreachable(self._address, str(error)) from error
        except httpx.RemoteProtocolError as error:
            if any(phrase in str(error) for phrase in _CONNECTION_ENDED):
                raise broken(self._address, str(error)) from error
            raise odd(self._address, str(error), "HTTP") from error
        except httpx.RequestError as error:
            raise broken(self._address, str(error) or type(error).__name__) from error

    async def _send_in_time(self, method: str, path: str, body: bytes | None) -> Any:
        attempts = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._retries + 1) | tenacity.stop_before_delay(self._timeout),
            wait=tenacity.wait_exponential_jitter(FIRST_WAIT, LONGEST_WAIT, jitter=FIRST_WAIT),
            retry=tenacity.retry_if_exception(_may_be_tried_again),
            reraise=True,
        )
        async with asyncio.timeout(self._timeout):
            return await attempts(self._send_once, method, path, body)

    async def _send_once(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"Content-Type": "application/json"} if body is not None else None
        answer = await self._http.request(method, path, content=body, headers=headers)
        try:
            found = answer.json()
        except (ValueError, RecursionError) as error:
            raise self._odd(answer.text, "JSON", answer.status_code) from error
        if answer.is_success:
            return found
        if not isinstance(found, dict) or "error" not in found:
            raise self._odd(answer.text, "an error in JSON", answer.status_code)
        raise ServingError(_CODES.get(answer.status_code, Code.UNKNOWN), str(found["error"]))

    def _odd(self, answer: Any, expected: str, status: int = 200) -> EnvironmentProblem:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return odd(self._address, f"HTTP {status}: {text[:80]!r}", expected)


class _Loop:
    """An event loop in a thread of its own, from the first use on."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return what ``work`` returns there. Any thread may call this, many at the same time."""
        future = asyncio.run_coroutine_threadsafe(work(), self._started())
        try:
            return future.result()
        finally:
            future.cancel()  # For who is interrupted while he waits.

    def close(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run ``work`` as the last one, and end."""
        if self._loop is None or self._thread is None:
            return
        self.run(work)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="rest-client", daemon=True)
                self._thread.start()
            return self._loop


def _status(one: Any) -> VersionStatus:
    status = one["status"]
    return VersionStatus(
        int(one["version"]), State[one["state"]], Code[status["error_code"]], str(status["error_message"])
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


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, default=_plain).encode()
    except RecursionError as error:
        raise ConfigError("the rows are lists within lists, too many of them") from error


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
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.TimeoutException)
