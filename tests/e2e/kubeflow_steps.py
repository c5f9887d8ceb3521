"""Components and an exit handler of a user, for pipelines that run as on Kubeflow. Copied into their project."""

import json
import os
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model

from penstock.pipelines.kubeflow.outcome import Outcome


@component
def make(model: OutputArtifact[Model], count: Parameter[int], rate: Parameter[float], text: Parameter[str]):
    """Write what it was given, beside an empty folder and an empty file, and record properties of each type."""
    Path(model.uri, "assets").mkdir()
    Path(model.uri, "empty").touch()
    given = {"count": count, "rate": rate, "text": text, "password": os.environ.get("PASSWORD")}
    Path(model.uri, "given.json").write_text(json.dumps(given))
    model.set_int_custom_property("blessed", 1)
    model.set_float_custom_property("accuracy", 1.0)
    model.set_string_custom_property("label", "digit")
    model.set_string_custom_property("place", f"{model.uri}/given.json")


@component
def look(model: InputArtifact[Model], seen: OutputArtifact[Examples]):
    """Write what arrives of a model."""
    properties = {
        "blessed": model.get_int_custom_property("blessed"),
        "accuracy": model.get_float_custom_property("accuracy"),
        "label": model.get_string_custom_property("label"),
        "place": model.get_string_custom_property("place"),
        "id": model.id,
        "files": sorted(path.name for path in Path(model.uri).iterdir()),
    }
    Path(seen.uri, "seen.json").write_text(json.dumps(properties))
    seen.span = 7
    seen.split_names = '["train"]'


@component
def check(seen: InputArtifact[Examples], checked: OutputArtifact[Examples], attempts: Parameter[str]):
    """Fail the first time, and record the declared properties that arrived."""
    file = Path(attempts)
    with file.open("a") as stream:
        stream.write(f"{type(seen.span).__name__} {seen.span} {seen.split_names}\n")
    if len(file.read_text().splitlines()) < 2:
        raise RuntimeError("the first attempt fails")
    Path(checked.uri, "done").touch()


def tell(outcome: Outcome) -> None:
    """Write how the run ended."""
    Path(os.environ["TOLD"]).write_text(json.dumps([outcome.ok, outcome.state, outcome.error]))
