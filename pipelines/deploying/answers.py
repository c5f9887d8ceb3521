"""What a server's refusal means to the user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigError, EnvironmentProblem, PenstockError

if TYPE_CHECKING:
    from penstock.pipelines.deploying.access import Access

_LONGEST = 400
_PASSING = (408, 429, 500, 502, 503, 504)


class NoAnswer(EnvironmentProblem):
    """The server did not answer, or said that it cannot now; a later attempt may succeed."""


class NotLetIn(EnvironmentProblem):
    """The server takes no token, this one, or this user."""


def refused(error: Any, access: Access, doing: str) -> PenstockError:
    """Return the error for an answer other than success.

    Args:
        error: A ``kfp_server_api.ApiException``.
        access: Which server it was.
        doing: What was asked, as in "the server refused to …".
    """
    status, said = error.status, access.hide(message_of(error.body))
    # A proxy before the server says 403 with its login page; the server itself, to a user whom it knows, with words.
    if status == 401 or (status == 403 and not _is_api_error(error.body)):
        return _unknown(access, said)
    if status == 403:
        return _forbidden(access, doing, said)
    if status == 404 and not _is_api_error(error.body):
        return not_the_api(access, f"404 {error.reason}")
    if status in _PASSING:
        received = f"{status} {error.reason}" + (f": {said}" if said else "")
        return NoAnswer(f"the server cannot {doing} now", where=access.host, received=received, hint="try again later")
    if status in (400, 404, 409, 422):
        hint = f"see what is there: penstock runs list {access.options()}" if status == 404 else None
        received = f"{status} {error.reason}: {said}"
        return ConfigError(f"the server refused to {doing}", where=access.host, received=received, hint=hint)
    return EnvironmentProblem(f"the server failed to {doing}", where=access.host, received=f"{status}: {said}")


def _unknown(access: Access, said: str) -> NotLetIn:
    what = f"the server does not accept the token of {access.token_env}" if access.token else "the server needs a token"
    example = "$(kubectl create token default-editor --namespace YOURS)"
    hint = (
        f"it may have expired: set {access.token_env} again"
        if access.token
        else f"export KFP_TOKEN={example} and add --token-env KFP_TOKEN"
    )
    return NotLetIn(what, where=access.host, received=said or "nothing but its refusal", hint=hint)


def _forbidden(access: Access, doing: str, said: str) -> NotLetIn:
    place = f" in the namespace {access.namespace}" if access.namespace else ""
    hint = (
        "ask for the right in that namespace" if access.namespace else "name the namespace that is yours: --namespace"
    )
    return NotLetIn(f"you are not allowed to {doing}{place}", where=access.host, received=said, hint=hint)


def unreachable(error: Exception, access: Access) -> NoAnswer:
    """Return the error for a connection that came to nothing."""
    cause = getattr(error, "reason", None) or error
    name = type(cause).__name__
    words = {
        "NameResolutionError": ("no such host is known", "check the name in --host"),
        "ConnectTimeoutError": ("nobody answers there in time", "check the address, and the way there (VPN, firewall)"),
        "ReadTimeoutError": ("the server took the request and does not answer", "try again later"),
        "SSLError": ("the server's certificate is not accepted", "check --host: http or https, name and port"),
        "ProtocolError": ("the connection ended in the middle of an answer", "try again"),
    }
    said = access.hide(str(cause)).lower()
    default = ("the server cannot be reached", "")
    received, hint = words.get(name, default)
    if "refused" in said:
        received, hint = "the connection was refused: nothing listens there", _forward()
    return NoAnswer(
        "Kubeflow Pipelines does not answer",
        where=access.host,
        received=received if received != default[0] else f"{received}: {name}",
        hint=hint or _forward(),
    )


def _forward() -> str:
    return (
        "check --host; without an address of its own: "
        "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80, then --host http://127.0.0.1:8080"
    )


def not_the_api(access: Access, received: str) -> EnvironmentProblem:
    """Return the error for a server that is another one, or a login page before the one that is meant."""
    token = "" if access.token else "; where a login page stands before it, add --token-env NAME"
    return EnvironmentProblem(
        "this is not the API of Kubeflow Pipelines v2",
        where=access.host,
        received=received,
        expected=f"JSON from {access.host}/apis/v2beta1/healthz",
        hint=f"give the address under which KFP's pages are (often it ends with /pipeline){token}",
    )


def message_of(body: Any) -> str:
    """Return what a server says in the body of a refusal: KFP's own words for the user, where there are any."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    data = _json(text)
    if isinstance(data, dict):
        details = [item.get("message") for item in data.get("details") or () if isinstance(item, dict)]
        found = next((str(said) for said in (*details, *map(data.get, _KEYS)) if said), "")
        text = found or text
    elif "<html" in text[:500].lower() or "<!doctype" in text[:500].lower():
        text = "a web page"
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


_KEYS = ("message", "error_message", "error", "error_details")


def _is_api_error(body: Any) -> bool:
    data = _json(body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or ""))
    return isinstance(data, dict) and any(key in data for key in ("code", *_KEYS))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
