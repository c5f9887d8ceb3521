"""``penstock convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.options import Json, errors_as_json, example, print_json


@example("penstock convert serving/digits/1 --modes float32,int8 --representative rows.tfrecord --output flatbuffers")
def convert(  # noqa: PLR0913  One argument an option.
    saved_model: Annotated[
        Path | None, typer.Argument(metavar="[SAVED_MODEL]", help="The folder of the SavedModel.", show_default=False)
    ] = None,
    *,
    modes: Annotated[
        str | None, typer.Option(help="float32, dynamic_range, float16, int8, int16x8, by commas; all if not given.")
    ] = None,
    representative: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="TFRecord file of tf.Examples to calibrate with; may be given again."),
    ] = None,
    evaluate: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="TFRecord file to measure with; the representative rows if not given."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Where the results go: a new or empty folder.")
    ] = None,
    signature: Annotated[str | None, typer.Option(help="The signature to convert; predict if not given.")] = None,
    label: Annotated[str | None, typer.Option(help="The label feature, for --set gate.metric=….")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A parameter of the TFLiteConverter, such as gate.max_size=200kB."
        ),
    ] = None,
    inspect: Annotated[
        Path | None,
        typer.Option(metavar="MODEL.tflite", help="Print inputs, outputs, ops and quantization of a flatbuffer."),
    ] = None,
    json: Json = False,
) -> None:
    """Convert a SavedModel to LiteRT flatbuffers and measure each against it, or look into a flatbuffer.

    Exit code 1 when a mode that is required (--set gate.required=[int8]) is not within the limits.
    """
    with errors_as_json(enabled=json):
        if inspect is not None:
            _refuse(saved_model, "a SavedModel beside --inspect")
            _inspect(inspect, json=json)
            return
        missing = {"SAVED_MODEL": saved_model, "--representative": representative, "--output": output}
        absent = [name for name, value in missing.items() if not value]
        if absent or saved_model is None or representative is None or output is None:
            raise ConfigError(
                f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing",
                expected="penstock convert SAVED_MODEL --representative FILE --output DIR, or --inspect MODEL.tflite",
            )
        from penstock.pipelines.converting.command import convert_in_worker
        from penstock.pipelines.converting.settings import config_of, flags, modes_of
        from penstock.pipelines.converting.text import show_report

        named = flags({"modes": modes and modes_of(modes), "signature": signature, "label": label})
        config = config_of(named, set_ or ())
        if config.gate.metric and config.label is None:
            raise ConfigError(f"the metric {config.gate.metric!r} needs a label", hint="add --label NAME")
        report = convert_in_worker(
            saved_model,
            config,
            representative=representative,
            evaluation=evaluate or representative,
            output=output,
            sink=None if json else _Terminal(),
        )
    if json:
        print_json(report)
    else:
        show_report(report, output)


def _refuse(value: object, what: str) -> None:
    if value is not None:
        raise ConfigError(f"{what} makes no sense", hint="give one of the two")


def _inspect(file: Path, *, json: bool) -> None:
    from dataclasses import asdict

    from penstock.components.tflite_converter.inspection import inspect_file
    from penstock.pipelines.converting.text import show_inspection

    inspection = inspect_file(file)
    if json:
        print_json({"file": str(file), **asdict(inspection)})
    else:
        show_inspection(inspection, file)


class _Terminal:
    """Says on standard error what is being done."""

    def status(self, text: str) -> None:
        """Print the line."""
        typer.echo(text, err=True)

    def note(self, text: str) -> None:
        """Print the line."""
        typer.echo(text, err=True)
