"""Sends OpenLineage events to a catalogue that takes them over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigError, EnvironmentProblem

if TYPE_CHECKING:
    import httpx

_KEY = "OPENLINEAGE_API_KEY"
_SHOWN = 200
"""Characters of a refusal that are shown."""


def send(events: Iterable[dict[str, Any]], url: str, timeout: float) -> int:
    """Send events one after the other, in order; stops at the first that is not taken.

    A key in the environment variable ``OPENLINEAGE_API_KEY`` is sent as a bearer token.

    Args:
        events: The events.
        url: Where to, such as ``http://localhost:5000/api/v1/lineage``.
        timeout: For the answer to one event, in seconds.

    Returns:
        How many were sent.

    Raises:
        ConfigError: The URL is none.
        EnvironmentProblem: Nobody answers there, or an event is refused.
    """
    import httpx

    if not url.startswith(("http://", "https://")):
        raise ConfigError("--post needs the URL of a catalogue", received=url, expected="http://… or https://…")
    key = os.environ.get(_KEY)
    sent = 0
    with httpx.Client(timeout=timeout, headers={"Authorization": f"Bearer {key}"} if key else {}) as client:
        for event in events:
            try:
                answer = client.post(url, json=event)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise EnvironmentProblem(
                    f"the catalogue does not answer: {error}"
                    if str(error)
                    else "the catalogue does not answer in time",
                    where=url,
                    received=f"{type(error).__name__} after {sent} events",
                    hint="check the URL, or give it longer with --timeout; sending again gives the same ids",
                ) from error
            if answer.is_error or answer.is_redirect:
                raise _refused(answer, url, sent)
            sent += 1
    return sent


def _refused(answer: httpx.Response, url: str, sent: int) -> EnvironmentProblem:
    needs_key = answer.status_code in (401, 403)
    return EnvironmentProblem(
        f"the catalogue refused event {sent + 1}",
        where=url,
        received=f"{answer.status_code} {answer.reason_phrase}: {answer.text[:_SHOWN]}".rstrip(": "),
        hint=f"set {_KEY}" if needs_key else "check that the URL is that of an OpenLineage endpoint",
    )
