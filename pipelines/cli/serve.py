"""``penstock serve``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from penstock.pipelines.cli.manifest_options import (
    Bases,
    Cpu,
    Image,
    MaxReplicas,
    Memory,
    Namespace,
    ObjectName,
    Replicas,
    ServiceAccount,
    Variant,
)
from penstock.pipelines.cli.options import example
from penstock.pipelines.cli.serving_options import (
    Batching,
    Host,
    Port,
    PrintCommand,
    PrintManifests,
    RestPort,
    Where,
    told_plainly,
)
from penstock.serving.official import PINNED_IMAGE

if TYPE_CHECKING:
    from penstock.pipelines.manifests.options import ManifestOptions, Placed
    from penstock.pipelines.models.find import Model
    from penstock.pipelines.models.serve import Wanted

_GENERATED_FOLDER = ".penstock/serving"
_POLLING = """\
# A TensorFlow Serving that polls its config refuses a label on a version that it has not loaded, and with the label the
# whole file, so that it never loads the version either. Penstock does not know the servers that these commands start:
# name them (destination.tf_serving.grpc in a pipeline, --grpc for promote and rollback) and labels move safely."""


@example("penstock serve configs/digits.yaml --rest-port 8501")
def serve(  # noqa: PLR0913  One argument an option.
    where: Where = None,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8500,
    rest_port: RestPort = 8501,
    batching: Batching = False,
    print_command: PrintCommand = False,
    print_manifests: PrintManifests = False,
    variant: Variant = "both",
    base: Bases = None,
    image: Image = PINNED_IMAGE,
    namespace: Namespace = None,
    name: ObjectName = None,
    replicas: Replicas = 2,
    max_replicas: MaxReplicas = 6,
    cpu: Cpu = "1",
    memory: Memory = "2Gi",
    service_account: ServiceAccount = None,
) -> None:
    """Serve what was pushed: with tensorflow_model_server when it is on PATH, else with the embedded server."""
    from penstock.pipelines.manifests.options import ManifestOptions, placed
    from penstock.pipelines.models.serve import Wanted

    with told_plainly(json=False):
        servable = _servable(where or ())
        if print_manifests:
            options = ManifestOptions(
                image, namespace, name, replicas, max_replicas, cpu, memory, service_account, batching=batching
            )
            _print_manifests(placed(servable, base or (), _claims(where or ())), variant, options)
            return
        wanted = Wanted(servable, host, port, rest_port, batching=batching)
        code = _print_commands(wanted) if print_command else _serve(wanted)
    if code:
        raise typer.Exit(code)


def _servable(where: Sequence[Path]) -> tuple[Model, ...]:
    """Return the models at the places that a server takes.

    Raises:
        ConfigError: There is none, or there are flatbuffers only.
    """
    from penstock.errors import ConfigError
    from penstock.pipelines.models.find import find_models, require_servable, with_neighbours

    models = with_neighbours(find_models(where))
    if not models:
        raise ConfigError(
            "no pushed model was found below this folder",
            where=str(Path.cwd()),
            expected="a models.config that Penstock generated, or a base path with a pushed version",
            hint="run a pipeline with a Pusher, or name the place: penstock serve FILE",
        )
    servable = tuple(model for model in models if not model.flatbuffers)
    if not servable:
        require_servable(models[0])
    return servable


def _serve(wanted: Wanted) -> int:
    from penstock.pipelines.models.serve import refuse_second
    from penstock.pipelines.models.serve import serve as run_server

    refuse_second(wanted.models)
    return run_server(wanted, Path(_GENERATED_FOLDER), lambda line: typer.echo(line, err=True))


def _print_commands(wanted: Wanted) -> int:
    from penstock.pipelines.models.follow import merged_entries
    from penstock.pipelines.models.serve import batching_notes, check_bases, write_configs
    from penstock.serving.official import BINARY, image_command, official_command, shell

    check_bases(wanted.models, embedded=False)
    ports = wanted.grpc_port or 8500, wanted.rest_port or 8501
    options = write_configs(wanted, merged_entries(wanted.models), Path(_GENERATED_FOLDER), ports)
    files = [options.config, options.monitoring, options.batching]
    folders = [file.parent for file in files if file is not None]
    folders += [Path(model.base) for model in wanted.models if model.local]
    typer.echo(_POLLING)
    for note in batching_notes(wanted):
        typer.echo(f"# {note}")
    typer.echo()
    typer.echo(f"# the binary; it binds every address of its machine\n{shell(official_command(BINARY, options))}\n")
    typer.echo(f"# the image\n{shell(image_command(options, folders))}")
    return 0


def _print_manifests(found: Sequence[Placed], variant: str, options: ManifestOptions) -> None:
    from penstock.pipelines.manifests.kserve import kserve_manifests
    from penstock.pipelines.manifests.plain import plain_manifests
    from penstock.pipelines.manifests.text import as_yaml

    made = {
        "plain": (plain_manifests, "TensorFlow Serving in pods of its own. kubectl apply -f -"),
        "kserve": (kserve_manifests, "KServe. kubectl apply -f -"),
    }
    for kind in made if variant == "both" else (variant,):
        manifests, heading = made[kind]
        other = "\nApply this or the other variant, not both." if variant == "both" else ""
        typer.echo(as_yaml(manifests(found, options), heading + other), nl=False)


def _claims(where: Sequence[Path]) -> dict[str, str]:
    """Return the folders at which steps on Kubeflow mount claims, as the pipeline files say."""
    from penstock.pipelines.config import load

    volumes = [
        volume
        for file in where
        if file.suffix in (".yaml", ".yml")
        for volume in load(file).document.value(("kubeflow", "volumes")) or ()
    ]
    return {volume["path"]: volume["claim"] for volume in volumes}
