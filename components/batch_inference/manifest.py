"""What an output folder holds and what it was made of. It is written last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.places import Place, Url
from penstock.components.batch_inference.remote_files import read_url
from penstock.components.batch_inference.report import ShardReport, causes_of
from penstock.components.batch_inference.request import InferenceResult
from penstock.components.batch_inference.shards import InputFile
from penstock.errors import ArtifactError

NAME = "prediction.manifest.json"


@dataclass(frozen=True)
class Source:
    """What an output was made of.

    Attributes:
        fingerprint: Of the model, the files and the parameters; a run of the same fingerprint has the same results.
        config: The parameters.
        model: What tells the model: its digest, or the server and the version.
        files: The input files.
    """

    fingerprint: str
    config: BatchInferenceConfig
    model: Mapping[str, Any]
    files: tuple[InputFile, ...]


def content_of(source: Source, reports: Sequence[ShardReport], seconds: float) -> bytes:
    """Return the manifest of the files that finished shards have made."""
    rows, errors = sum(report.rows for report in reports), sum(report.errors for report in reports)
    data: dict[str, Any] = {
        "fingerprint": source.fingerprint,
        "rows": rows,
        "results": rows - errors,
        "errors": errors,
        "seconds": round(seconds, 3),
        "causes": [{"cause": cause, "rows": count} for cause, count in causes_of(reports)],
        "model": dict(source.model),
        "inputs": [asdict(file) for file in source.files],
        "shards": [report.to_dict() for report in reports],
        "config": source.config.model_dump(mode="json"),
    }
    return (json.dumps(data, indent=1) + "\n").encode()


def read(output: Place) -> tuple[str, InferenceResult] | None:
    """Return the fingerprint and the result of a complete output; None where there is none.

    Raises:
        ArtifactError: The manifest is damaged.
    """
    path = output / NAME
    content = _content(path)
    if content is None:
        return None
    try:
        data = json.loads(content)
        shards = [ShardReport.from_dict(shard) for shard in data["shards"]]
        result = result_of(output, shards, data["model"], data["seconds"], reused=True)
        return data["fingerprint"], result
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            "the manifest of the output is damaged",
            where=str(path),
            received=f"{type(error).__name__}: {error}",
            hint="remove the output folder and run again",
        ) from error


def _content(path: Place) -> bytes | None:
    if isinstance(path, Url):
        return read_url(str(path))
    return path.read_bytes() if path.is_file() else None


def result_of(
    output: Place, reports: Sequence[ShardReport], model: Mapping[str, Any], seconds: float, *, reused: bool = False
) -> InferenceResult:
    """Return the result that finished shards make up."""
    rows, errors = sum(report.rows for report in reports), sum(report.errors for report in reports)
    return InferenceResult(
        output=output,
        rows=rows,
        results=rows - errors,
        errors=errors,
        seconds=seconds,
        files=tuple(report.results_file for report in reports),
        error_files=tuple(report.errors_file for report in reports if report.errors_file),
        model=model,
        causes=causes_of(reports),
        reused=reused,
    )
