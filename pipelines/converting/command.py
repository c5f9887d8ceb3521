"""Converts in a process of its own: TensorFlow's converter ends a process where it finds a bug of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.serving.saved_model import saved_model_file

if TYPE_CHECKING:
    from penstock.components.tflite_converter.config import TFLiteConverterConfig
    from penstock.reporting import Sink

LOG = "convert.log"


def convert_in_worker(
    saved_model: Path,
    config: TFLiteConverterConfig,
    *,
    representative: list[Path],
    evaluation: list[Path],
    output: Path,
    sink: Sink | None,
) -> dict[str, Any]:
    """Convert and measure, and return the report as JSON data.

    Args:
        saved_model: Folder of the SavedModel.
        config: The parameters.
        representative: TFRecord files for the calibration.
        evaluation: TFRecord files that all models are asked about.
        output: Folder for the results, made when missing; it may hold nothing but the log of an earlier attempt.
        sink: Who is told what is being done.

    Raises:
        ConfigError: A file or folder that is named is not there; nothing is made or imported then.
        PenstockError: What the conversion raised, or that its process died; of the results nothing is left then.
    """
    from penstock.pipelines.runners.workers import Workers

    _require_model(saved_model)
    for file in (*representative, *evaluation):
        require_file(file, "a TFRecord file of tf.Examples")
    _claim(output)
    folder = output.absolute()
    files = [tuple(str(path.absolute()) for path in paths) for paths in (representative, evaluation)]
    workers = Workers(Path.cwd(), folder / LOG)
    task = workers.start(_convert, saved_model.absolute(), config, *files, folder, log=folder / LOG, sink=sink)
    try:
        report: dict[str, Any] = task.result()
    except BaseException:
        task.stop(grace=0)
        _remove_results(folder)
        raise
    return report


def require_file(file: Path, expected: str) -> None:
    """Refuse a file that is not there.

    Raises:
        ConfigError: It is not.
    """
    if not file.is_file():
        raise ConfigError("there is no such file", where=str(file), expected=expected)


def _require_model(folder: Path) -> None:
    try:
        saved_model_file(folder)
    except ArtifactError as error:
        versions = sorted(file.parent for file in folder.glob("*/saved_model.pb"))
        hint = f"name one of those in it, such as {versions[-1]}" if versions else None
        what, received, expected = error.what, error.received, error.expected
        raise ConfigError(what, where=str(folder), received=received, expected=expected, hint=hint) from error


def _claim(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise ConfigError("the output is a file", where=str(output), expected="a folder, or a path for a new one")
    try:
        output.mkdir(parents=True, exist_ok=True)
        found = sorted(path.name for path in output.iterdir() if path.name != LOG)
    except OSError as error:
        raise EnvironmentProblem(f"the output cannot be made: {error.strerror}", where=str(output)) from error
    if found:
        raise ConfigError(
            "the output folder is not empty",
            where=str(output),
            received=", ".join(found[:5]),
            hint="name another folder: nothing is overwritten",
        )


def _remove_results(output: Path) -> None:
    for path in output.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOG:
            path.unlink()


def _convert(
    saved_model: Path,
    config: TFLiteConverterConfig,
    representative: tuple[str, ...],
    evaluation: tuple[str, ...],
    output: Path,
) -> dict[str, Any]:  # Runs in the worker.
    from penstock.components.tflite_converter.convert import ConvertRequest, convert
    from penstock.components.tflite_converter.report import report
    from penstock.components.tflite_converter.rows import RowFiles

    request = ConvertRequest(
        saved_model=saved_model,
        config=config,
        representative=RowFiles(representative, config.representative.rows, representative[0]),
        evaluation=RowFiles(evaluation, config.measure.rows, evaluation[0]),
        output=output,
        label=config.label,
    )
    return report(convert(request))
