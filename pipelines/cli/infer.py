"""``penstock infer``: score files with a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.infer_engine import engine_for, require_known
from penstock.pipelines.cli.infer_options import (
    Beam,
    Columns,
    CompressionOption,
    Explain,
    Include,
    InputFormatOption,
    Inputs,
    Key,
    MaxErrorRate,
    MaxRows,
    Model,
    Nan,
    Output,
    OutputFormatOption,
    Outputs,
    Overwrite,
    Runner,
    Server,
    Signature,
)
from penstock.pipelines.cli.infer_progress import LineSink
from penstock.pipelines.cli.infer_stream import (
    BatchFiles,
    BatchSize,
    BatchWait,
    Errors,
    Following,
    Poll,
    Stream,
    StreamOptions,
    Window,
    places_of,
    score_arrivals,
    score_elsewhere,
)
from penstock.pipelines.cli.options import Json, errors_as_json, example, print_json
from penstock.pipelines.cli.quietly import import_quietly
from penstock.pipelines.cli.serving_options import In
from penstock.reporting import reporting_to

if TYPE_CHECKING:
    from penstock.components.batch_inference.config import BatchInferenceConfig
    from penstock.components.batch_inference.places import Place
    from penstock.components.batch_inference.request import InferenceRequest, InferenceResult
    from penstock.pipelines.models.choose import Chosen

_CAUSES = 3


@example("penstock infer --model digits@stable --input 'data/*.csv' --output predictions")
def infer(  # noqa: PLR0913  One argument an option.
    *,
    model: Model,
    input_: Inputs,
    output: Output = None,
    input_format: InputFormatOption = None,
    columns: Columns = None,
    key: Key = None,
    output_format: OutputFormatOption = "jsonl",
    compression: CompressionOption = None,
    include: Include = None,
    outputs: Outputs = None,
    signature: Signature = "serving_default",
    max_rows: MaxRows = 4096,
    max_error_rate: MaxErrorRate = 0.0,
    nan: Nan = "error",
    grpc: Server = None,
    runner: Runner = "direct",
    beam: Beam = None,
    overwrite: Overwrite = False,
    explain: Explain = False,
    stream: Stream = False,
    window: Window = 60.0,
    batch_files: BatchFiles = 100,
    batch_size: BatchSize = "64MB",
    batch_wait: BatchWait = 5.0,
    poll: Poll = 1.0,
    errors: Errors = None,
    in_: In = None,
    json: Json = False,
) -> None:
    """Score files with a model: predictions in order, bad rows in files of their own, and a manifest with all of it."""
    config = {
        "signature": signature,
        "input": {"format": input_format, "columns": _names(columns), "key": key},
        "output": {
            "format": output_format,
            "compression": compression,
            "include": _names(include) or (),
            "outputs": _names(outputs),
        },
        "batch": {"max_rows": max_rows},
        "nan": nan,
        "max_error_rate": max_error_rate,
        "mode": _remote(model, grpc) if grpc else "saved_model",
    }
    with errors_as_json(enabled=json):
        job = _Job(_checked(config), model, tuple(in_ or ()), tuple(input_), output, _beam_args(runner, beam))
        options = StreamOptions(window, batch_files, batch_size, batch_wait, poll)
        if explain:
            job.explain()
        elif (places := places_of(input_, output, errors)) is not None:
            score_elsewhere(places, job.config, str(job.choose().path), options, job.beam_args)
        elif stream:
            following = None if job.config.remote else Following(model, job.where)
            score_arrivals(job.request(), options, job.beam_args, model=following, json=json)
        else:
            result = job.score(overwrite=overwrite)
            print_json(_as_json(result)) if json else _show(result)


@dataclass(frozen=True)
class _Job:
    """What one command is to do."""

    config: BatchInferenceConfig
    model: str
    where: tuple[Path, ...]
    inputs: tuple[str, ...]
    output: str | None
    beam_args: tuple[str, ...]

    def choose(self) -> Chosen:
        """Return the model that is meant, and say so."""
        from penstock.pipelines.models.choose import choose_model

        chosen = choose_model(self.model, self.where)
        typer.echo(f"Model: {chosen.told}", err=True)
        return chosen

    def request(self, *, overwrite: bool = False) -> InferenceRequest:
        """Return what is to be scored."""
        from penstock.components.batch_inference.pinned import pin
        from penstock.components.batch_inference.places import place_of
        from penstock.components.batch_inference.request import InferenceRequest

        if self.output is None:
            raise ConfigError("there is no output folder", expected="--output DIR", hint="--explain writes nothing")
        chosen = None if self.config.remote else self.choose()
        model = pin(chosen.path, name=chosen.name, version=chosen.version) if chosen else None
        return InferenceRequest(self.config, self.inputs, place_of(self.output), model, overwrite=overwrite)

    def explain(self) -> None:
        """Print what feeds which input of the signature."""
        request = replace(self, output=self.output or ".").request()
        with LineSink() as sink:
            sink.status("importing TensorFlow")
            import_quietly()
            from penstock.components.batch_inference.infer import explain

            lines = explain(request)
        for line in lines:
            typer.echo(line)

    def score(self, *, overwrite: bool) -> InferenceResult:
        """Score, and say how far it is."""
        from penstock.components.batch_inference.visible import require_visible

        request = self.request(overwrite=overwrite)
        require_visible(request, self.beam_args)
        with LineSink() as sink, reporting_to(sink):
            sink.status("importing TensorFlow and Beam")
            import_quietly()
            import apache_beam

            from penstock.components.batch_inference.infer import infer as score

            with engine_for(self.beam_args) as flags:
                return score(request, lambda: apache_beam.Pipeline(argv=flags))


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in text.split(",")) if text is not None else None


def _remote(model: str, grpc: str) -> dict[str, Any]:
    """Return the server to ask; the model's label or version stands behind its name, as in ``--model`` elsewhere."""
    name, at, label = model.partition("@")
    name, slash, version = (name, "", "") if at else model.partition("/")
    if slash and not version.isdecimal():
        raise ConfigError(
            f"{model!r} names no model of a server", where="--model", expected="NAME@LABEL or NAME/VERSION"
        )
    chosen = {"label": label} if at else {"version": int(version)} if slash else {}
    return {"remote": {"grpc": grpc, "model": name, **chosen}}


def _checked(config: dict[str, Any]) -> BatchInferenceConfig:
    from pydantic import ValidationError

    from penstock.components.batch_inference.config import BatchInferenceConfig

    try:
        return BatchInferenceConfig.model_validate(config)
    except ValidationError as error:
        found = error.errors()[0]
        raise ConfigError(
            found["msg"].removeprefix("Value error, "), where=".".join(map(str, found["loc"])) or None
        ) from error


def _beam_args(runner: str, options: list[str] | None) -> tuple[str, ...]:
    from penstock.pipelines.engines.flags import beam_args

    settings: dict[str, Any] = {}
    for text in options or ():
        key, equals, value = text.partition("=")
        if not key or key.startswith("-"):
            raise ConfigError(f"{text!r} is no flag of Beam", where="--beam", expected="KEY=VALUE, or KEY alone")
        settings[key] = value if equals else True
    require_known(runner, settings)
    return beam_args(runner, settings)


def _show(result: InferenceResult) -> None:
    if result.reused:
        typer.echo("Nothing to do: the same model has scored the same files with the same parameters.")
    rate = f" ({result.rows / result.seconds:,.0f} rows/s)" if result.seconds else ""
    took = "" if result.reused else f" in {result.seconds:.1f} s{rate}"
    typer.echo(f"{result.rows:,} rows{took}: {result.results:,} results, {result.errors:,} errors")
    for cause, count in result.causes[:_CAUSES]:
        typer.echo(f"  {count:,} rows: {cause}")
    if len(result.causes) > _CAUSES:
        typer.echo(f"  and {len(result.causes) - _CAUSES} other causes")
    typer.echo(f"Results: {_shown(result.output)}")
    for name in result.error_files[:_CAUSES]:
        typer.echo(f"Errors: {_shown(result.output / name)}")


def _shown(place: Place) -> str:
    from penstock.pipelines.config.marks import shown_path

    return shown_path(place) if isinstance(place, Path) else str(place)


def _as_json(result: InferenceResult) -> dict[str, Any]:
    return {**asdict(result), "output": str(result.output)}
