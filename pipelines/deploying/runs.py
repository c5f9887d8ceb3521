"""The runs of a Kubeflow Pipelines server: listed, found by name, stopped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from penstock.errors import ConfigError
from penstock.pipelines.deploying.client import Server

_PAGE = 50
_NEVER = datetime(1971, 1, 1, tzinfo=UTC)


def newest(server: Server, limit: int) -> list[dict[str, Any]]:
    """Return id, name, state (KFP's word in lower case), start (UTC), seconds and page of the newest runs.

    Raises:
        PenstockError: The server cannot be asked.
    """
    found: list[Any] = []
    token = ""
    while len(found) < limit:
        answer = server.ask(
            "list runs",
            server.client.list_runs,
            page_token=token,
            page_size=min(_PAGE, limit - len(found)),
            sort_by="created_at desc",
            namespace=server.access.namespace,
        )
        found += answer.runs or ()
        token = answer.next_page_token or ""
        if not token:
            break
    return [_row(server, run) for run in found[:limit]]


def find_run(server: Server, name: str) -> str:
    """Return the id of a run that is named by its id or its exact name; of several runs of a name, the newest.

    Raises:
        PenstockError: The server cannot be asked.
    """
    named = json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]})
    answer = server.ask(
        "list runs",
        server.client.list_runs,
        filter=named,
        sort_by="created_at desc",
        page_size=1,
        namespace=server.access.namespace,
    )
    return str(answer.runs[0].run_id) if answer.runs else name


def stop(server: Server, run: str) -> None:
    """Tell the server to stop a run.

    Raises:
        ConfigError: There is no such run, or it has ended.
        PenstockError: The server cannot be asked.
    """
    try:
        server.ask("stop the run", server.client.terminate_run, run)
    except ConfigError as error:
        hint = f"see what runs: penstock runs list {server.access.options()}"
        raise ConfigError(error.what, where=error.where, received=error.received, hint=hint) from error


def _row(server: Server, run: Any) -> dict[str, Any]:
    ended = run.finished_at if run.finished_at and run.finished_at > _NEVER else None
    begun = run.created_at
    return {
        "run": run.run_id,
        "name": run.display_name,
        "state": (run.state or "unknown").lower(),
        "started": begun.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if begun else "",
        "seconds": (ended - begun).total_seconds() if ended and begun else None,
        "page": server.access.run_page(run.run_id),
    }
