"""``penstock runs`` for runs on a cluster: list, follow and stop them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.pipelines.cli.options import Json, errors_as_json, example, print_json
from penstock.pipelines.cli.remote_options import Host, Namespace, TokenEnv

if TYPE_CHECKING:
    from penstock.pipelines.deploying.access import Access
    from penstock.pipelines.deploying.client import Server

INTERRUPTED = 130

app = typer.Typer(
    name="runs",
    help="List, follow and stop runs on a cluster.",
    epilog="Example: penstock runs list --host http://127.0.0.1:8080",
    no_args_is_help=True,
)
RunName = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its name.", show_default=False)]


def list_remote(access: Access, *, limit: int = 20, json: bool = False) -> None:
    """Print the newest runs of a server, newest first.

    Raises:
        PenstockError: It cannot be asked.
    """
    from penstock.pipelines.deploying.client import Server
    from penstock.pipelines.deploying.runs import newest

    rows = newest(Server(access), limit)
    if json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"no runs at {access.host}")
    for row in rows:
        seconds = f"{row['seconds']:.0f} s" if row["seconds"] is not None else ""
        typer.echo(f"{row['run']}  {row['state']:<9}  {row['started']}  {seconds:>7}  {row['name']}")


def stop_remote(run: str, access: Access, *, json: bool = False) -> None:
    """Stop a run, and print that its server was told to.

    Raises:
        PenstockError: There is no such run, it has ended, or the server cannot be asked.
    """
    from penstock.pipelines.deploying.client import Server
    from penstock.pipelines.deploying.runs import stop

    server = Server(access)
    run = _id(server, run)
    stop(server, run)
    page = access.run_page(run)
    if json:
        print_json({"run": run, "stopping": True, "page": page})
    else:
        typer.echo(f"{run} is being stopped: {page}")


def follow_remote(run: str, access: Access, *, json: bool = False) -> None:
    """Follow a run until it ends, with the lines of a local run; exit code 1 when it did not succeed.

    Raises:
        PenstockError: There is no such run, or the server cannot be asked.
    """
    from penstock.pipelines.deploying.client import Server
    from penstock.pipelines.deploying.kubeflow_run import KubeflowRun

    server = Server(access)
    follow_to_end(KubeflowRun(server, _id(server, run)), run, json=json)


def follow_to_end(source: Any, name: str, *, json: bool, facts: dict[str, Any] | None = None) -> None:
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
    try:
        followed = show_followed(Console(stderr=json), source, name, len(source.steps))
    except KeyboardInterrupt as error:
        typer.echo(left_running(source), err=True)
        raise typer.Exit(INTERRUPTED) from error
    if json:
        print_json({**(facts or {}), "page": source.page, **as_json(followed)})
    if followed.outcome != "succeeded":
        raise typer.Exit(1)


def _id(server: Server, run: str) -> str:
    from penstock.pipelines.deploying.runs import find_run

    return find_run(server, run)


@example("penstock runs list --host http://127.0.0.1:8080")
def list_runs(
    *,
    host: Host,
    token_env: TokenEnv = None,
    namespace: Namespace = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="How many runs, the newest first.")] = 20,
    json: Json = False,
) -> None:
    """List the newest runs of a Kubeflow Pipelines server."""
    with errors_as_json(enabled=json):
        list_remote(_access(host, token_env, namespace), limit=limit, json=json)


@example("penstock runs follow 'digits 2026-11-30 12:00:00' --host http://127.0.0.1:8080")
def follow(
    run: RunName, *, host: Host, token_env: TokenEnv = None, namespace: Namespace = None, json: Json = False
) -> None:
    """Follow a run until it ends; Ctrl-C leaves it running."""
    with errors_as_json(enabled=json):
        follow_remote(run, _access(host, token_env, namespace), json=json)


@example("penstock runs stop 'digits 2026-11-30 12:00:00' --host http://127.0.0.1:8080")
def stop(
    run: RunName, *, host: Host, token_env: TokenEnv = None, namespace: Namespace = None, json: Json = False
) -> None:
    """Stop a run; its finished steps are kept."""
    with errors_as_json(enabled=json):
        stop_remote(run, _access(host, token_env, namespace), json=json)


for command, title in ((list_runs, "list"), (follow, "follow"), (stop, "stop")):
    app.command(title, epilog=getattr(command, "example", None))(command)


def _access(host: str, token_env: str | None, namespace: str | None) -> Access:
    from penstock.pipelines.deploying.access import access_to

    return access_to(host, token_env=token_env, namespace=namespace)
