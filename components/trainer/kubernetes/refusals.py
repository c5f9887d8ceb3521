"""What a cluster's API answers when it does not do what it was asked to, as our errors."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from penstock.errors import ConfigError, EnvironmentProblem, PenstockError

_SHOWN = 500


class Unreachable(EnvironmentProblem):
    """The API does not answer now, and may later: no connection, too many requests, or its own error."""


class Missing(EnvironmentProblem):
    """There is no such object."""


class Taken(EnvironmentProblem):
    """There is an object of this name already."""


def refusal(what: str, error: Any, host: str, namespace: str) -> PenstockError:
    """Return the error for an answer that is none.

    Args:
        what: What was asked for, to complete "cannot …".
        error: The client's ``ApiException``.
        host: The API's address.
        namespace: Namespace of the job.
    """
    status = int(error.status or 0)
    received = f"{status}: {_message(error)}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _not_allowed(what, received, host, namespace)
    if status == HTTPStatus.NOT_FOUND:
        return Missing(f"cannot {what}: there is no such thing", where=host, received=received)
    if status == HTTPStatus.CONFLICT:
        return Taken(f"cannot {what}: there is one already", where=host, received=received)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unreachable(
            f"the Kubernetes API cannot {what} now",
            where=host,
            received=received,
            hint="look at the cluster's health: kubectl get --raw /readyz",
        )
    return ConfigError(
        f"the cluster refuses to {what}",
        where=host,
        received=received,
        hint="correct the value that it names under cluster:; it may also be a rule of this cluster's own",
    )


def shortened(text: str) -> str:
    """Return a text of other people's making, cut where it is very long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} […]"


def _not_allowed(what: str, received: str, host: str, namespace: str) -> PenstockError:
    if received.startswith("401"):
        return EnvironmentProblem(
            f"the Kubernetes API does not know who asks to {what}",
            where=host,
            received=received,
            expected="a token that is valid",
            hint="sign in again as for kubectl, or check the service account that the step runs as",
        )
    return EnvironmentProblem(
        f"the cluster forbids this step to {what}",
        where=host,
        received=received,
        expected="create, get and delete on tfjobs.kubeflow.org, list on pods and get on pods/log in namespace "
        f"{namespace}",
        hint="bind a role with these rights to the service account that the step runs as",
    )


def _message(error: Any) -> str:
    """Return what the cluster said, without the envelope around it."""
    body = error.body or ""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    try:
        told = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        told = text or error.reason or "no message"
    return shortened(" ".join(str(told).split()))
