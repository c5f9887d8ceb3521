"""Where a pushed version comes from: its run, its data, the parameters it was trained with, what was found about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.metadata.lineage import PUSHED_MODEL, WIDTH, lineage
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact, Execution, Value
from penstock.metadata.server import Location

CONVERTED_MODEL = "TFLiteModel"
_MODEL = "Model"


@dataclass(frozen=True)
class Made:
    """An artifact, and the execution that made it.

    Attributes:
        artifact: The artifact.
        step: Name of the step that made it; empty where nothing in the store did.
        run: The run that made it; later runs may have taken it from the cache.
        parameters: The parameters that the step had, and what was found about what it made.
        source: Whether it was made of nothing else in the store: data from outside.
        execution: Id of the execution that made it; None where nothing in the store did.
    """

    artifact: Artifact
    step: str = ""
    run: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    source: bool = True
    execution: int | None = None


@dataclass(frozen=True)
class Provenance:
    """Where a version comes from.

    Attributes:
        store: Where the store is that knows it.
        pipeline: The pipeline's name.
        pushed: The PushedModel artifact.
        model: The model that was pushed, or that the flatbuffers that were pushed are conversions of; None where the
            store does not know it.
        ancestors: All that the model was made of, nearest first.
        findings: What was made from the model, or from the version that was pushed: evaluations, blessings,
            predictions, conversions.
        pushes: All that was ever pushed of the model, or of conversions of it; oldest first.
        facts: What the runner recorded of the run in which the model was trained.
        judged: The execution that gave the blessing with which the version was pushed; None where none was asked for.
    """

    store: Location
    pipeline: str
    pushed: Made
    model: Made | None = None
    ancestors: tuple[Made, ...] = ()
    findings: tuple[Made, ...] = ()
    pushes: tuple[Made, ...] = ()
    facts: Mapping[str, Value] = field(default_factory=dict)
    judged: int | None = None

    @property
    def data(self) -> tuple[Made, ...]:
        """The examples that were read from outside."""
        return tuple(made for made in self.ancestors if made.artifact.type == "Examples" and made.source)


def pushed_model(store: Location, digest: str, version: int) -> int | None:
    """Return the id of the PushedModel artifact of a version, or None where the store does not know it.

    Args:
        store: Where the store is.
        digest: Digest of the version's manifest.
        version: Its number: the same model may have been pushed twice.
    """
    return _found(store, {"digest": digest, "pushed_version": str(version)})


def pushed_to(store: Location, model: str, version: int, destination: str) -> int | None:
    """Return the id of the PushedModel artifact of a version by where it was pushed to, or None.

    Args:
        store: Where the store is.
        model: The model's name on the server.
        version: The version.
        destination: Its path or URL.
    """
    return _found(store, {"model_name": model, "pushed_version": str(version), "pushed_destination": destination})


def provenance(store: Location, artifact: int) -> Provenance:
    """Return where a version comes from.

    Args:
        store: Where the store is.
        artifact: Id of its PushedModel.
    """
    reader = Reader(store)
    pushed = reader.artifacts([artifact])[artifact]
    maker = reader.makers([artifact]).get(artifact)
    pipeline = maker.origin.pipeline if maker is not None else ""
    model = _model(reader, maker)
    if model is None:
        return Provenance(store, pipeline, _made(pushed, maker))
    up = lineage(reader, model, "up")
    trained = up.maker(model.id)
    # In the order in which the walk met them, which is nearest first.
    ancestors = [_made(found, up.maker(key)) for key, found in up.artifacts.items() if key != model.id]
    users = reader.users([model.id, pushed.id], WIDTH)
    findings = _outputs(reader, users)
    again = reader.users([one.artifact.id for one in findings if one.artifact.type == CONVERTED_MODEL], WIDTH)
    pushes = {one.artifact.id: one for one in (*findings, *_outputs(reader, again))}
    return Provenance(
        store=store,
        pipeline=pipeline,
        pushed=_made(pushed, maker),
        model=_made(model, trained),
        ancestors=tuple(ancestors),
        findings=tuple(one for one in findings if one.artifact.type != PUSHED_MODEL),
        pushes=tuple(pushes[key] for key in sorted(pushes) if pushes[key].artifact.type == PUSHED_MODEL),
        facts=_facts(reader, trained),
        judged=_judge(reader, maker),
    )


def _found(store: Location, properties: Mapping[str, str]) -> int | None:
    if any(set(value) & set("'\"\\") for value in properties.values()):
        return None
    wanted = (f"custom_properties.{name}.string_value = '{value}'" for name, value in properties.items())
    found = Reader(store).find(" AND ".join([f"type = '{PUSHED_MODEL}'", *wanted]))
    return min((artifact.id for artifact in found), default=None)


def _model(reader: Reader, pusher: Execution | None) -> Artifact | None:
    """Return the model that was pushed, or that the flatbuffers that were pushed are conversions of."""
    inputs = _inputs(reader, pusher)
    converted = next((one.id for one in inputs if one.type == CONVERTED_MODEL), None)
    if converted is not None:
        inputs += _inputs(reader, reader.makers([converted]).get(converted))
    return next((one for one in inputs if one.type == _MODEL), None)


def _inputs(reader: Reader, execution: Execution | None) -> list[Artifact]:
    return list(reader.artifacts(execution.all_inputs()).values()) if execution is not None else []


def _judge(reader: Reader, pusher: Execution | None) -> int | None:
    """Return the execution whose blessing a Pusher went by: others may have judged the model since."""
    blessings = [one.id for one in _inputs(reader, pusher) if one.type == "ModelBlessing"]
    return next((maker.id for maker in reader.makers(blessings).values()), None)


def _outputs(reader: Reader, executions: Iterable[Execution]) -> list[Made]:
    makers = {one: execution for execution in executions for one in execution.all_outputs()}
    artifacts = reader.artifacts(makers)
    return [_made(artifacts[one], makers[one]) for one in makers if one in artifacts]


def _made(artifact: Artifact, maker: Execution | None) -> Made:
    if maker is None:
        return Made(artifact)
    origin = maker.origin
    return Made(artifact, origin.step, origin.run, maker.properties, source=not maker.inputs, execution=maker.id)


def _facts(reader: Reader, execution: Execution | None) -> Mapping[str, Value]:
    run = execution.origin.run if execution is not None else ""
    return next((found.facts for found in reader.runs_named(run) if found.id == run), {})
