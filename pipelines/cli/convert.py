"""``penstock convert``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.convert_options import (
    Evaluate,
    Inspect,
    Label,
    Modes,
    Output,
    Parameters,
    Representative,
    SavedModel,
    Signature,
)
from penstock.pipelines.cli.options import Json, errors_as_json, example, print_json


@example("penstock convert serving/digits/1 --modes float32,int8 --representative rows.tfrecord --output flatbuffers")
def convert(  # noqa: PLR0913  One argument an option.
    saved_model: SavedModel = None,
    *,
    modes: Modes = None,
    representative: Representative = None,
    evaluate: Evaluate = None,
    output: Output = None,
    signature: Signature = None,
    label: Label = None,
    set_: Parameters = None,
    inspect: Inspect = None,
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
        given = _all_given(saved_model, representative, output)
        from penstock.pipelines.converting.command import convert_in_worker
        from penstock.pipelines.converting.settings import config_of, flags, modes_of
        from penstock.pipelines.converting.text import show_report

        named = flags({"modes": modes and modes_of(modes), "signature": signature, "label": label})
        config = config_of(named, set_ or ())
        if config.gate.metric and config.label is None:
            raise ConfigError(f"the metric {config.gate.metric!r} needs a label", hint="add --label NAME")
        report = convert_in_worker(
            given.saved_model,
            config,
            representative=given.representative,
            evaluation=evaluate or given.representative,
            output=given.output,
            sink=None if json else _Terminal(),
        )
    if json:
        print_json(report)
    else:
        show_report(report, given.output)


class _Given(NamedTuple):
    """What a conversion cannot do without."""

    saved_model: Path
    representative: list[Path]
    output: Path


def _all_given(saved_model: Path | None, representative: list[Path] | None, output: Path | None) -> _Given:
    if saved_model and representative and output:
        return _Given(saved_model, representative, output)
    values = {"SAVED_MODEL": saved_model, "--representative": representative, "--output": output}
    absent = [name for name, value in values.items() if not value]
    raise ConfigError(
        f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing",
        expected="penstock convert SAVED_MODEL --representative FILE --output DIR, or --inspect MODEL.tflite",
    )


def _refuse(value: object, what: str) -> None:
    if value is not None:
        raise ConfigError(f"{what} makes no sense", hint="give one of the two")


def _inspect(file: Path, *, json: bool) -> None:
    from dataclasses import asdict

    from penstock.components.tflite_converter.inspection import inspect_file
    from penstock.pipelines.converting.command import require_file
    from penstock.pipelines.converting.text import show_inspection

    require_file(file, "a .tflite file")
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
