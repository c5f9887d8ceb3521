"""``penstock runs`` on a cluster: list, follow and stop. The group is :mod:`~penstock.pipelines.cli.runs`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.pipelines.cli.options import Json, errors_as_json, example, print_json
from penstock.pipelines.cli.remote_options import Host, Namespace, TokenEnv

if TYPE_CHECKING:
    from penstock.pipelines.deploying.places import Place
    from penstock.pipelines.deploying.request import Run

INTERRUPTED = 130

RunName = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its name.", show_default=False)]


def list_remote(place: Place, *, limit: int = 20, json: bool = False) -> None:
    """Print the newest runs of a place, newest first.

    Raises:
        PenstockError: It cannot be asked.
    """
    rows = place.newest(limit)
    if json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"no runs at {place.host}")
    for row in rows:
        seconds = f"{row['seconds']:.0f} s" if row["seconds"] is not None else ""
        typer.echo(f"{row['run']}  {row['state']:<9}  {row['started']}  {seconds:>7}  {row['name']}")


def stop_remote(run: str, place: Place, *, json: bool = False) -> None:
    """Stop a run, and print that it is being stopped.

    Raises:
        PenstockError: There is no such run, it has ended, or the place cannot be asked.
    """
    found, page = place.stop(run)
    if json:
        print_json({"run": found, "stopping": True, "page": page})
    else:
        typer.echo(f"{found} is being stopped: {page}")


def follow_remote(run: str, place: Place, *, json: bool = False) -> None:
    """Follow a run until it ends, with the lines of a local run; exit code 1 when it did not succeed.

    Raises:
        PenstockError: There is no such run, or the place cannot be asked.
    """
    follow_to_end(place.run(run), run, json=json)


def follow_to_end(source: Run, name: str, *, json: bool, facts: dict[str, Any] | None = None) -> None:
    """Follow a run that is under way, print how it ended, and end with its exit code.

    Args:
        source: The run.
        name: Its name.
        json: Whether JSON is printed on standard output, and the lines on standard error.
        facts: What the JSON says besides.
    """
    from rich.console import Console

    from penstock.pipelines.deploying.terminal import as_json, left_running, show_followed

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The stream itself: what keeps kfp quiet exchanges sys.stdout for a moment while the spinners' thread writes.
    console = Console(file=sys.stderr if json else sys.stdout)
    try:
        followed = show_followed(console, source, name, len(source.steps))
    except KeyboardInterrupt as error:
        typer.echo(left_running(source), err=True)
        raise typer.Exit(INTERRUPTED) from error
    if json:
        print_json({**(facts or {}), "page": source.page, **as_json(followed)})
    if followed.outcome != "succeeded":
        raise typer.Exit(1)


@example("penstock runs follow 'digits 2026-11-30 12:00:00' --host http://127.0.0.1:8080")
def follow(
    run: RunName, *, host: Host, token_env: TokenEnv = None, namespace: Namespace = None, json: Json = False
) -> None:
    """Follow a run until it ends; Ctrl-C leaves it running."""
    with errors_as_json(enabled=json):
        follow_remote(run, place_of(host, token_env, namespace), json=json)


@example("penstock runs stop 'digits 2026-11-30 12:00:00' --host http://127.0.0.1:8080")
def stop(
    run: RunName, *, host: Host, token_env: TokenEnv = None, namespace: Namespace = None, json: Json = False
) -> None:
    """Stop a run; its finished steps are kept."""
    with errors_as_json(enabled=json):
        stop_remote(run, place_of(host, token_env, namespace), json=json)


def place_of(host: str, token_env: str | None, namespace: str | None) -> Place:
    """Return the server that the options name.

    Raises:
        PenstockError: The host is no address, or the variable with the token is empty.
    """
    from penstock.pipelines.deploying.places import place_at

    return place_at(host, token_env=token_env, namespace=namespace)
