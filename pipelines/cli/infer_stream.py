"""``penstock infer --stream``, and rows that come from Pub/Sub or BigQuery instead of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import ConfigError, PenstockError
from penstock.pipelines.cli.infer_progress import LineSink
from penstock.pipelines.cli.options import print_json
from penstock.pipelines.cli.quietly import import_quietly
from penstock.reporting import note, reporting_to

if TYPE_CHECKING:
    from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
    from penstock.components.batch_inference.config import BatchInferenceConfig
    from penstock.components.batch_inference.request import InferenceRequest, PinnedModel

Stream = Annotated[
    bool, typer.Option("--stream", help="Go on: score what arrives in the input, until SIGINT or SIGTERM.")
]
Window = Annotated[
    float, typer.Option("--window", min=1, help="Seconds of a window; none of --stream's batches extends over two.")
]
BatchFiles = Annotated[int, typer.Option("--batch-files", min=1, help="--stream: files that are scored together.")]
BatchSize = Annotated[str, typer.Option("--batch-size", help="--stream: their sizes together, as 64MB, at most.")]
BatchWait = Annotated[
    float, typer.Option("--batch-wait", min=0, help="--stream: seconds that a file or a message waits for others.")
]
Poll = Annotated[float, typer.Option("--poll", min=0.05, help="--stream: seconds between two looks at the input.")]
Errors = Annotated[
    str | None,
    typer.Option("--errors", metavar="PLACE", help="Pub/Sub and BigQuery: where rows without a prediction go."),
]
_MESSAGES, _TABLES = "pubsub:", "bigquery:"


@dataclass(frozen=True)
class StreamOptions:
    """When a batch of a stream is complete.

    Attributes:
        window: Length of the windows in seconds.
        files: Files, a count.
        size: Their sizes together, as ``64MB``.
        wait: Seconds that a file or a message waits for others.
        poll: Seconds between two looks at the folder.
    """

    window: float = 60.0
    files: int = 100
    size: str = "64MB"
    wait: float = 5.0
    poll: float = 1.0


@dataclass(frozen=True)
class Places:
    """From where to where rows go, that are in no files.

    Attributes:
        source: ``pubsub:…`` or ``bigquery:…``.
        results: Likewise.
        errors: Likewise.
    """

    source: str
    results: str
    errors: str


class Following:
    """Pins what a text names now; what was pinned stays where that is the same, or cannot be had.

    Args:
        text: As ``--model`` has it.
        where: Where to look for pushed models.
    """

    def __init__(self, text: str, where: Sequence[Path]) -> None:
        self._text = text
        self._where = tuple(where)
        self._pinned: PinnedModel | None = None

    def begin(self, pinned: PinnedModel | None) -> None:
        """Take what the text has been found to name just now."""
        self._pinned = pinned

    def __call__(self) -> PinnedModel:
        """Return the model.

        Raises:
            PenstockError: There is none, and was none before.
        """
        from penstock.components.batch_inference.pinned import pin
        from penstock.components.batch_inference.places import place_of
        from penstock.pipelines.models.choose import choose_model

        try:
            chosen = choose_model(self._text, self._where)
            if self._pinned is None or str(place_of(str(chosen.path))) != self._pinned.path:
                self._pinned = pin(chosen.path, name=chosen.name, version=chosen.version)
                note(f"Model: {chosen.told}")
        except PenstockError as error:
            if self._pinned is None:
                raise
            note(f"the model stays: {error}")
        return self._pinned


def is_elsewhere(place: str) -> bool:
    """Whether a place is none of files."""
    return place.startswith((_MESSAGES, _TABLES))


def places_of(inputs: list[str], output: str | None, errors: str | None) -> Places | None:
    """Return from where to where rows go, if not from files to files.

    Raises:
        ConfigError: A place is missing, or they are not of one kind.
    """
    if not any(is_elsewhere(place) for place in (*inputs, output or "")):
        if errors is not None:
            raise ConfigError("--errors is for Pub/Sub and BigQuery", hint="files have errors files beside the results")
        return None
    kind = _MESSAGES if inputs[0].startswith(_MESSAGES) else _TABLES
    named = {"--input": inputs[0], "--output": output, "--errors": errors}
    for option, place in named.items():
        if place is None or not place.startswith(kind):
            raise ConfigError(
                "rows of Pub/Sub become messages, and rows of BigQuery rows of a table",
                where=option,
                received=place or "nothing",
                expected=f"{kind}{'projects/PROJECT/topics/NAME' if kind == _MESSAGES else 'PROJECT.DATASET.TABLE'}",
            )
    if len(inputs) > 1:
        raise ConfigError("there is one input", where="--input", received=", ".join(inputs))
    return Places(inputs[0], str(output), str(errors))


def score_arrivals(
    request: InferenceRequest,
    options: StreamOptions,
    beam_args: tuple[str, ...],
    *,
    model: Following | None,
    json: bool,
) -> None:
    """Score files as they arrive, until a signal comes; exit code 1 if a batch has no results."""
    with LineSink() as sink, reporting_to(sink):
        sink.status("importing TensorFlow and Beam")
        import_quietly()
        from penstock.components.batch_inference.beam.arrivals import Grouping
        from penstock.components.batch_inference.beam.folder_stream import FolderStream, run

        if model is not None:
            model.begin(request.model)
        grouping = Grouping(options.files, _bytes(options.size), options.wait, options.window)
        sink.note(f"watching {', '.join(request.files)}; Ctrl-C ends it")
        result = run(FolderStream(request, grouping, options.poll, model), beam_args)
    if json:
        failures = {batch: error.to_dict() for batch, error in result.failures.items()}
        print_json({"rows": result.rows, "errors": result.errors, "failures": failures})
    else:
        typer.echo(f"{result.rows:,} rows: {result.rows - result.errors:,} results, {result.errors:,} errors")
        for batch, error in result.failures.items():
            typer.echo(f"{batch} has no results: {error}")
    if result.failures:
        raise typer.Exit(1)


def _bytes(size: str) -> int:
    from penstock.components.batch_inference.words import byte_count

    try:
        return byte_count(size)
    except ValueError as error:
        raise ConfigError(str(error), where="--batch-size") from error


def score_elsewhere(
    places: Places, config: BatchInferenceConfig, model: str, options: StreamOptions, beam_args: tuple[str, ...]
) -> None:
    """Score messages until the job is ended, or the rows of a table.

    Args:
        places: From where to where.
        config: The parameters.
        model: Folder of the SavedModel, as the workers see it.
        options: When a batch of messages is complete.
        beam_args: Beam's flags.
    """
    if config.remote:
        raise ConfigError("rows of Pub/Sub and BigQuery are scored in the workers", expected="a model, and no server")
    messages = places.source.startswith(_MESSAGES)
    with LineSink() as sink:
        sink.status("importing TensorFlow and Beam")
        import_quietly()
    import apache_beam

    from penstock.components.batch_inference.running import new_pipeline, runner_errors

    flags = [*_reading_messages(beam_args), "--streaming"] if messages else list(beam_args)
    pipeline = new_pipeline(lambda: apache_beam.Pipeline(argv=flags))
    if messages:
        _add_messages(pipeline, places, config, model, options)
    else:
        _add_table(pipeline, places, config, model)
    with runner_errors(lambda: None, hint="check the network, the credentials of this process, and --beam"):
        pipeline.run().wait_until_finish()


def _reading_messages(beam_args: Sequence[str]) -> list[str]:
    """Return Beam's flags with another local runner for the one that ``direct`` means, which cannot read Pub/Sub."""
    from penstock.pipelines.engines.flags import beam_args as beam_flags

    direct = beam_flags("direct", {})[0]
    return ["--runner=BundleBasedDirectRunner" if flag == direct else flag for flag in beam_args]


def _add_messages(
    pipeline: Any, places: Places, config: BatchInferenceConfig, model: str, options: StreamOptions
) -> None:
    from penstock.components.batch_inference.beam.elements import Selection
    from penstock.components.batch_inference.beam.pubsub import MessageStream, score_messages

    selection = Selection(config.input.key, config.output.include)
    source, results, errors = _plain(places, _MESSAGES)
    stream = MessageStream(source, results, errors, selection, options.window)
    wait = {"max_batch_duration_secs": options.wait} if options.wait else {}
    score_messages(pipeline, stream, _handler(config, model, **wait))


def _add_table(pipeline: Any, places: Places, config: BatchInferenceConfig, model: str) -> None:
    from penstock.components.batch_inference.beam.bigquery import TableJob, score_table
    from penstock.components.batch_inference.beam.elements import Selection
    from penstock.components.batch_inference.pinned import described
    from penstock.components.batch_inference.places import place_of
    from penstock.components.batch_inference.scoring.scorer import signature_of

    selection = Selection(config.input.key, config.output.include)
    with described(place_of(model)) as folder:
        signature = signature_of(folder, config.signature, config.output.outputs or (), where=model)
    source, results, errors = _plain(places, _TABLES)
    score_table(pipeline, TableJob(source, results, errors, selection), _handler(config, model), signature)


def _plain(places: Places, kind: str) -> tuple[str, str, str]:
    return places.source.removeprefix(kind), places.results.removeprefix(kind), places.errors.removeprefix(kind)


def _handler(config: BatchInferenceConfig, model: str, **batching: Any) -> SavedModelHandler:
    from penstock.components.batch_inference.beam.model_handler import SavedModelHandler

    return SavedModelHandler(
        model,
        signature=config.signature,
        outputs=config.output.outputs or (),
        nan=config.nan,
        max_batch_size=config.batch.max_rows,
        **batching,
    )
