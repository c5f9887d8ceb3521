"""``penstock deploy``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.checked import checked
from penstock.pipelines.cli.compile import Target, cluster_settings, compile_in_worker, overridden
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json
from penstock.pipelines.cli.remote_options import Namespace, TokenEnv
from penstock.pipelines.cli.remote_runs import INTERRUPTED, follow_to_end

if TYPE_CHECKING:
    from penstock.pipelines.config import KubeflowConfig, Loaded
    from penstock.pipelines.deploying.access import Access
    from penstock.pipelines.deploying.request import Deployed, Request
    from penstock.pipelines.graph import Graph


@example("penstock deploy configs/digits-kubeflow.yaml --host http://127.0.0.1:8080 --param epochs=2")
def deploy(  # noqa: PLR0913  One argument an option.
    file: File,
    *,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="URL", help="Kubeflow Pipelines, as in a browser; else the config's."),
    ] = None,
    target: Target = None,
    set_: Set = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="One of the config's vars, for this run alone."),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", metavar="NAME", help="The run's experiment; else the config's.")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--run-name", metavar="NAME", help="The run's name; else the pipeline's and the time.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Run now, and leave the config's schedule alone.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start the run and do not follow it.")] = False,
    token_env: TokenEnv = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Compile a pipeline, upload it to Kubeflow Pipelines or Vertex AI, run it there and follow the run.

    Ctrl-C leaves the run going and says how to follow or stop it.
    """
    with errors_as_json(enabled=json), _nothing_started():
        loaded, graph = checked(file, overridden(set_, target))
        request = _request(loaded, graph, param or (), experiment, run_name, once=once)
        submit = _submit(request.settings, host, token_env, namespace)
        deployed = submit(request, lambda line: typer.echo(line, err=json))
    if deployed.run is None or no_wait:
        _leave(deployed, json=json)
        return
    with errors_as_json(enabled=json):
        follow_to_end(deployed.run, request.run_name, json=json, facts=deployed.facts)


def _submit(
    settings: KubeflowConfig, host: str | None, token_env: str | None, namespace: str | None
) -> Callable[[Request, Callable[[str], None]], Deployed]:
    """Return what deploys to the config's target."""
    if settings.target == "vertex":
        from penstock.pipelines.deploying.to_vertex import deploy_to_vertex

        _refuse(host=host, token_env=token_env, namespace=namespace)
        return deploy_to_vertex
    from penstock.pipelines.deploying.to_kubeflow import deploy_to_kubeflow

    return partial(deploy_to_kubeflow, access=_access(settings, host, token_env, namespace))


def _leave(deployed: Deployed, *, json: bool) -> None:
    """End without following: a schedule has no run yet, and a run goes on by itself."""
    if json:
        print_json(deployed.facts)
    elif deployed.run is not None:
        typer.echo(f"Not followed.\n  follow it: {deployed.run.later}\n  stop it:   {deployed.run.stop}")


def _request(
    loaded: Loaded, graph: Graph, param: Sequence[str], experiment: str | None, run_name: str | None, *, once: bool
) -> Request:
    from penstock.pipelines.deploying.parameters import parse_parameters
    from penstock.pipelines.deploying.request import Request

    settings = cluster_settings(loaded)
    pipeline = loaded.config.pipeline
    return Request(
        pipeline=pipeline,
        file=loaded.document.file.name,
        steps=tuple(graph.steps),
        compile=partial(compile_in_worker, loaded),
        settings=settings,
        parameters=parse_parameters(loaded, param),
        experiment=experiment or settings.experiment or pipeline,
        run_name=run_name or f"{pipeline} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        schedule=None if once else settings.schedule,
    )


def _access(settings: KubeflowConfig, host: str | None, token_env: str | None, namespace: str | None) -> Access:
    from penstock.pipelines.deploying.access import access_to

    address = host or settings.host
    if address is None:
        raise ConfigError(
            "where Kubeflow Pipelines is was not said",
            expected="--host URL, or kubeflow: {host: URL} in the config",
            hint="without an address of its own: kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80, "
            "then --host http://127.0.0.1:8080",
        )
    return access_to(address, token_env=token_env, namespace=namespace or settings.namespace)


def _refuse(**options: str | None) -> None:
    for name, value in options.items():
        if value is not None:
            raise ConfigError(
                f"--{name.replace('_', '-')} is for Kubeflow; Vertex AI has none",
                expected="project and region under kubeflow: {vertex: …}, and Google's own credentials",
            )


@contextmanager
def _nothing_started() -> Iterator[None]:
    """Let Ctrl-C, and a scheduler's end, say that no run was started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("Interrupted; no run was started, as far as the server has answered.", err=True)
        raise typer.Exit(INTERRUPTED) from error
