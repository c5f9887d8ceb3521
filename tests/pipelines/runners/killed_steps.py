"""The steps of the pipeline that is killed: light, so that many runs take minutes, and without chance."""

import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, HyperParameters, Model, ModelRun

FILES = 3


@component
def rows(examples: OutputArtifact[Examples], name: Parameter[str]) -> None:
    """Write files that name the round, one after the other."""
    for number in range(FILES):
        Path(examples.uri, f"rows-{number}").write_text(f"{name} {number}\n" * 1000)


@component
def search(examples: InputArtifact[Examples], hyperparameters: OutputArtifact[HyperParameters]) -> None:
    """Write as many files, made of those."""
    for number in range(FILES):
        text = Path(examples.uri, f"rows-{number}").read_text()
        Path(hyperparameters.uri, f"{number}.json").write_text(text)


@component
def train(
    hyperparameters: InputArtifact[HyperParameters],
    model: OutputArtifact[Model],
    model_run: OutputArtifact[ModelRun],
    saved_model: Parameter[str],
) -> None:
    """Copy a SavedModel, with the round's name as an asset."""
    text = Path(hyperparameters.uri, "0.json").read_text()
    served = Path(model.uri, "Format-Serving")
    shutil.copytree(saved_model, served)
    (served / "assets").mkdir(exist_ok=True)
    (served / "assets" / "round").write_text(text)
    Path(model_run.uri, "log").write_text(text.upper())


@component
def measure(model: InputArtifact[Model], run: OutputArtifact[ModelRun]) -> None:
    """Write what the model holds."""
    for file in sorted(Path(model.uri).rglob("*")):
        if file.is_file():
            Path(run.uri, f"{file.name}.size").write_text(str(file.stat().st_size))


@component
def watch(run: InputArtifact[ModelRun], model: InputArtifact[Model], seen: OutputArtifact[ModelRun]) -> None:
    """Join what two steps made."""
    sizes = [file.read_text() for file in sorted(Path(run.uri).iterdir())]
    Path(seen.uri, "all").write_text(" ".join([*sizes, Path(model.uri, "Format-Serving/assets/round").read_text()]))
