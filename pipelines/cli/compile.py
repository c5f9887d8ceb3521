"""``penstock compile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.errors import ConfigError
from penstock.paths import shown_path
from penstock.pipelines.cli.checked import checked
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json

if TYPE_CHECKING:
    from penstock.pipelines.config import KubeflowConfig, Loaded
    from penstock.pipelines.kubeflow.compiled import Compiled

_PROGRAMS = {"kubeflow": "Kubeflow Pipelines", "vertex": "Vertex AI"}
Target = Annotated[
    Literal["kubeflow", "vertex"] | None,
    typer.Option(help="Kubeflow Pipelines or Vertex AI, instead of what the config says.", show_default=False),
]


@example("penstock compile configs/digits-kubeflow.yaml -o pipeline.yaml --set vars.epochs=2")
def compile(  # noqa: A001  The subcommand's name.
    file: File,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The compiled pipeline, .yaml; replaced if it is there."),
    ],
    target: Target = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Compile a pipeline for Kubeflow Pipelines or Vertex AI. Asks no cluster, no bucket and no registry."""
    with errors_as_json(enabled=json):
        if output.suffix not in (".yaml", ".yml"):
            raise ConfigError(
                "a compiled pipeline is a YAML file", where="--output", received=str(output), expected="FILE.yaml"
            )
        loaded, _ = checked(file, overridden(set_, target))
        cluster_settings(loaded)
        if not output.absolute().parent.is_dir():
            raise ConfigError("the output's folder is not there", where="--output", received=str(output.parent))
        if output.absolute() == loaded.document.file:
            raise ConfigError("the output is the config itself", where="--output", hint="name another file")
        compiled = compile_in_worker(loaded)
        _write(output, compiled.to_yaml())
    if json:
        print_json(_as_json(compiled, output))
        return
    typer.echo(f"{output}: {compiled.name} for {_PROGRAMS[compiled.target]}, {_steps(compiled)}, root {compiled.root}")
    for parameter in compiled.parameters:
        typer.echo(f"  parameter {parameter.name}: {parameter.type}, {parameter.default!r} where a run does not set it")
    for note in compiled.notes:
        typer.echo(f"  note: {note}")


def overridden(overrides: list[str] | None, target: str | None) -> list[str]:
    """Return the overrides with the target that was asked for on the command line."""
    return [*(overrides or ()), *([f"kubeflow.target={target}"] if target else [])]


def cluster_settings(loaded: Loaded) -> KubeflowConfig:
    """Return what a config says about its cluster.

    Raises:
        ConfigError: Nothing.
    """
    if loaded.config.kubeflow is None:
        raise ConfigError(
            "the config does not say how it runs on a cluster",
            where=shown_path(loaded.document.file),
            expected="kubeflow: {image: REGISTRY/IMAGE:TAG}",
            hint="add the block, or --set kubeflow.image=REGISTRY/IMAGE:TAG",
        )
    return loaded.config.kubeflow


def compile_in_worker(loaded: Loaded) -> Compiled:
    """Compile in a process that may import TFX and the user's components.

    Raises:
        PenstockError: As :func:`penstock.pipelines.kubeflow.compile_pipeline` does.
    """
    import tempfile

    from penstock.pipelines.kubeflow import compile_pipeline
    from penstock.pipelines.runners.workers import Workers

    with tempfile.TemporaryDirectory(prefix="penstock-compile-") as logs:
        workers = Workers(loaded.document.project, Path(logs) / "imports.log")
        compiled: Compiled = workers.run(compile_pipeline, loaded, log=Path(logs) / "compile.log")
    return compiled


def _write(output: Path, text: str) -> None:
    from penstock.durable import write_text

    write_text(output, text)


def _steps(compiled: Compiled) -> str:
    from penstock.pipelines.kubeflow.tasks import EXIT_HANDLER

    count = sum("executorLabel" in component for component in compiled.spec["components"].values())
    count -= EXIT_HANDLER in compiled.spec["components"]
    return "1 step" if count == 1 else f"{count} steps"


def _as_json(compiled: Compiled, output: Path) -> dict[str, Any]:
    return {
        "file": output,
        "pipeline": compiled.name,
        "target": compiled.target,
        "root": compiled.root,
        "parameters": [{"name": each.name, "type": each.type, "default": each.default} for each in compiled.parameters],
        "notes": list(compiled.notes),
    }
