"""Scores files with a model on Beam: all of the output appears at once, with a manifest, or none of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from penstock.components.batch_inference import manifest
from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.features.maps import told as shown
from penstock.components.batch_inference.find_files import find_files
from penstock.components.batch_inference.job import Job
from penstock.components.batch_inference.places import Place, place_of
from penstock.components.batch_inference.prepare import asked_of, job_of
from penstock.components.batch_inference.progress import reporting_progress
from penstock.components.batch_inference.reading.parts import parts_of
from penstock.components.batch_inference.report import ShardReport
from penstock.components.batch_inference.request import InferenceRequest, InferenceResult
from penstock.components.batch_inference.running import new_pipeline, runner_errors
from penstock.components.batch_inference.score_shard import progress_counter, score_shard
from penstock.components.batch_inference.shards import InputFile, Shard
from penstock.components.batch_inference.store import FolderStore, store_at
from penstock.components.batch_inference.watch import watched
from penstock.components.batch_inference.words import byte_count
from penstock.components.batch_inference.work import OUTPUT, Work, begin, require_free
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.reporting import note
from penstock.version import __version__

_TOLD = 3
_ANY = 1.0
"""The error rate that takes any number of bad rows."""


def infer(request: InferenceRequest, make_pipeline: Callable[[], Any]) -> InferenceResult:
    """Score what the request names, and publish the results.

    Args:
        request: What to score, with which model, and where to.
        make_pipeline: Returns a new Beam pipeline, for whatever runner.

    Raises:
        ConfigError: Nothing matches, files and signature do not fit, or the output folder holds something else.
        ArtifactError: Files or model are damaged or change during the run, or too many rows are bad.
        EnvironmentProblem: The disk, the server, or the runner.
    """
    # First of all: Beam's file systems take their options from the newest pipeline.
    pipeline = new_pipeline(make_pipeline)
    return _infer(request, partial(_on_beam, pipeline))


def infer_here(request: InferenceRequest) -> InferenceResult:
    """Do what :func:`infer` does in this process alone, one shard after the other, without Beam."""
    return _infer(request, _in_this_process)


def _infer(request: InferenceRequest, run: Callable[[Job, Sequence[Shard]], None]) -> InferenceResult:
    config, output = request.config, place_of(str(request.output))
    require_free(output, manifest.NAME)
    files = find_files(request.files, config.input.format)
    asked = asked_of(config, request.model, files)
    source = manifest.Source(_fingerprint(config, asked.model, files), config, asked.model, files)
    if (done := _complete(output, source, overwrite=request.overwrite)) is not None:
        return done
    shards = _shards(files, byte_count(config.input.split_size))
    store = store_at(request.work or output.parent / f".partial-{output.name}")
    work = Work(store, len(shards), config.output.suffix)
    job = job_of(config, asked, work)
    with store.held(), _tidy(work):
        if begin(work, source.fingerprint):
            note(f"goes on from an earlier attempt: {len(work.finished())} of {len(shards)} shards are finished")
        began = time.monotonic()
        with reporting_progress(work, shards):
            run(job, shards)
        seconds = time.monotonic() - began
        reports = [_report(work, shard) for shard in shards]
        result = manifest.result_of(place_of(work.output), reports, asked.model, seconds)
        _judge(config, result)
        store.publish(OUTPUT, output, (manifest.NAME, manifest.content_of(source, reports, seconds)))
        store.remove()
    return replace(result, output=output)


@contextmanager
def _tidy(work: Work) -> Iterator[None]:
    """Leave nothing of a run that fails before a shard is finished."""
    try:
        yield
    except BaseException:
        if not work.finished():
            work.store.remove()
        raise


def _shards(files: Sequence[InputFile], size: int) -> tuple[Shard, ...]:
    """Return what becomes a result file each: a file, or a part of a large one."""
    parts = [(file, part) for file in files for part in parts_of(file, size) or (None,)]
    return tuple(Shard(index, file, part) for index, (file, part) in enumerate(parts))


def explain(request: InferenceRequest) -> list[str]:
    """Return what the request comes to, without scoring a row: the files, and what feeds each input.

    Raises:
        PenstockError: As :func:`infer`, where files, model and parameters do not fit.
    """
    files = find_files(request.files, request.config.input.format)
    asked = asked_of(request.config, request.model, files)
    job_of(request.config, asked, Work(FolderStore(""), len(files), ""))
    gzip = " gzip," if files[0].gzip else ""
    count = f"{len(files)} {'file' if len(files) == 1 else 'files'}"
    return [
        f"{count}, {files[0].format},{gzip} {sum(file.size for file in files):,} bytes",
        f"signature {asked.signature.name}",
        *(f"  {line}" for line in asked.features.explain()),
        *(f"  → {shown(output)}" for output in asked.signature.outputs),
    ]


def _complete(output: Place, source: manifest.Source, *, overwrite: bool) -> InferenceResult | None:
    """Return the result of an output that is complete already.

    Raises:
        ConfigError: It is that of another run, and nobody said to replace it.
    """
    known = manifest.read(output)
    if known is None or overwrite:
        return None
    fingerprint, result = known
    if fingerprint == source.fingerprint:
        _judge(source.config, result)
        return result
    raise ConfigError(
        "the output folder holds the complete results of another run",
        where=str(output),
        received=f"{result.rows} rows, model digest {result.model_digest[:12] or 'of a server'}",
        expected="the same model, input files and parameters, or a path that is free",
        hint="choose another folder, or replace it: --overwrite",
    )


def _fingerprint(config: BatchInferenceConfig, model: Mapping[str, Any], files: Sequence[InputFile]) -> str:
    """Return what two runs share that have the same results; how many errors are accepted does not change these."""
    parameters = config.model_dump(mode="json", exclude={"max_error_rate"})
    described = json.dumps([__version__, parameters, dict(model), [asdict(file) for file in files]], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


def _in_this_process(job: Job, shards: Sequence[Shard]) -> None:
    for shard in shards:
        score_shard(job, shard, progress_counter(job, shard))


def _on_beam(pipeline: Any, job: Job, shards: Sequence[Shard]) -> None:
    from penstock.components.batch_inference.beam.shards import ScoreShards

    with runner_errors(job.work.failure, hint="run again: what is finished is kept"):
        _ = pipeline | "BatchInference" >> ScoreShards(job, tuple(shards))
        with watched(job.work, shards):
            pipeline.run().wait_until_finish()


def _report(work: Work, shard: Shard) -> ShardReport:
    found = work.report(shard.index)
    if found is None:
        raise EnvironmentProblem(
            "the Beam runner ended well, and a shard is not finished",
            where=shard.file.path,
            expected=f"a report in {work.store.where}",
            hint="do the workers see the same folder under the same path? --output may be a URL, as gs://bucket/folder",
        )
    return ShardReport.from_dict(found)


def _judge(config: BatchInferenceConfig, result: InferenceResult) -> None:
    """Fail where more rows are bad than may be.

    Raises:
        ArtifactError: They are; the errors files stay where they are.
    """
    allowed = result.rows if config.max_error_rate == _ANY else int(result.rows * config.max_error_rate)
    if result.errors <= allowed:
        return
    causes = result.causes
    told = "; ".join(f"{count} rows: {cause}" for cause, count in causes[:_TOLD])
    others = f"; and {len(causes) - _TOLD} other causes" if len(causes) > _TOLD else ""
    first, *more = [str(result.output / name) for name in result.error_files]
    raise ArtifactError(
        f"{result.errors} of {result.rows} rows got no prediction, more than max_error_rate "
        f"{config.max_error_rate:g} allows",
        where=f"{first} and {len(more)} more" if more else first,
        received=told + others,
        expected=f"at most {allowed} bad rows",
        hint="look at the errors file; then correct the input, or allow more: what is scored is kept, and the same run "
        "with a higher max_error_rate publishes it at once",
    )
