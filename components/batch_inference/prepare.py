"""From a request and its files to what every worker is told; what does not fit together is said here, before a row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from penstock.closest import did_you_mean
from penstock.components.batch_inference.config import EVERYTHING, BatchInferenceConfig
from penstock.components.batch_inference.features.arrays import value_type
from penstock.components.batch_inference.features.choose import Offer, feature_map
from penstock.components.batch_inference.features.converted import FeatureMap
from penstock.components.batch_inference.features.example_spec import ExampleFeature, example_features
from penstock.components.batch_inference.job import Job, Reading
from penstock.components.batch_inference.passing import ColumnPassing, FeaturePassing, Passing, RecordPassing
from penstock.components.batch_inference.pinned import described
from penstock.components.batch_inference.places import place_of
from penstock.components.batch_inference.reading.file_list import PATH
from penstock.components.batch_inference.reading.open import schema_of
from penstock.components.batch_inference.request import PinnedModel
from penstock.components.batch_inference.rows import RECORD
from penstock.components.batch_inference.scoring.scorer import SavedModelSpec, ScorerSpec, signature_of
from penstock.components.batch_inference.shards import InputFile, Limits
from penstock.components.batch_inference.words import byte_count
from penstock.components.batch_inference.work import Work
from penstock.components.batch_inference.writing.writer import KEY, Writing
from penstock.errors import ArtifactError, ConfigError
from penstock.serving.saved_model import SignatureInfo

_WITH_COLUMNS = ("csv", "parquet")
_ALIKE = ("tfrecord", "file_list")
"""Formats in which nothing but the first rows tells what the others have: one file is looked at."""


@dataclass(frozen=True)
class Asked:
    """Whom a run asks, and about what.

    Attributes:
        scorer: How workers get it.
        signature: What is asked, with the outputs that are written.
        features: How rows feed it.
        offers: What each input file has; of formats in which that cannot be told, the first file.
        model: What tells the model: its digest, or the server and the version.
    """

    scorer: ScorerSpec
    signature: SignatureInfo
    features: FeatureMap
    offers: tuple[Offer, ...]
    model: Mapping[str, Any]


def asked_of(config: BatchInferenceConfig, model: PinnedModel | None, files: Sequence[InputFile]) -> Asked:
    """Return whom to ask, once the files fit what it takes.

    Args:
        config: The parameters.
        model: The model; None where a server is asked.
        files: The input files.

    Raises:
        ArtifactError: The model has no such signature or output, or a file holds something else than its name says.
        ConfigError: A file lacks a feature, or has other columns than the first.
        EnvironmentProblem: The server cannot be reached.
    """
    target = _server(config) if config.remote else _local(config, model)
    offers = tuple(_offers(config, files))
    if not offers:
        raise ArtifactError("no input file has a row", where=files[0].path, received=f"{len(files)} empty files")
    maps = [feature_map(target.signature, offer, target.features) for offer in offers]
    for offer in offers:
        _require_alike(maps[0].columns, offer, offers[0])
    return Asked(target.scorer, target.signature, maps[0], offers, target.told)


def _require_alike(columns: Collection[str], offer: Offer, first: Offer) -> None:
    if offer.format in _WITH_COLUMNS and (lacking := [name for name in columns if name not in offer.columns]):
        raise ConfigError(
            "the file lacks columns that feed the signature from the first file",
            where=offer.where,
            received=f"columns {', '.join(offer.columns)}",
            expected=f"{', '.join(lacking)}, as in {first.where}",
            hint="score files of other columns in a run of their own",
        )


class _Target(NamedTuple):
    scorer: ScorerSpec
    signature: SignatureInfo
    features: Sequence[ExampleFeature]
    told: Mapping[str, Any]


def _local(config: BatchInferenceConfig, model: PinnedModel | None) -> _Target:
    if model is None:
        raise ConfigError("there is no model", expected="a model, or mode: {remote: {grpc: host:8500, model: name}}")
    outputs = config.output.outputs or ()
    with described(place_of(model.path)) as folder:
        signature = signature_of(folder, config.signature, outputs, where=model.path)
        features = example_features(folder)
    return _Target(SavedModelSpec(model, config.signature, outputs), signature, features, asdict(model))


def _server(config: BatchInferenceConfig) -> _Target:
    from penstock.components.batch_inference.scoring.remote import RemoteSpec

    server = config.remote
    if server is None:
        raise ConfigError("there is no server")
    spec = RemoteSpec(
        grpc=server.grpc,
        model=server.model,
        label=server.label,
        version=server.version,
        signature=config.signature,
        outputs=config.output.outputs or (),
        in_flight=server.in_flight,
        deadline_seconds=server.deadline,
        retries=server.retries,
    ).pinned()
    with closing(spec.open()) as scorer:
        told = {"grpc": spec.grpc, "name": spec.model, "version": spec.version}
        return _Target(spec, scorer.signature, (), told)


def _offers(config: BatchInferenceConfig, files: Sequence[InputFile]) -> Iterator[Offer]:
    """Yield what each file has; files without a row that could tell are passed over."""
    for file in files:
        schema = schema_of(file, config.input.columns)
        if schema is not None:
            yield Offer(file.format, schema, file.path)
            if file.format in _ALIKE:
                return


def job_of(config: BatchInferenceConfig, asked: Asked, work: Work) -> Job:
    """Return what every worker is told.

    Raises:
        ConfigError: A column that is passed through is not there, two columns of the output have one name, or an output
            has a type that no file holds.
    """
    _require_writable(asked.signature)
    passing, passed = _passing(config, asked)
    _require_unique([KEY, *passed.names, *(output.name for output in asked.signature.outputs)])
    return Job(
        scorer=asked.scorer,
        features=asked.features,
        passing=passing,
        reading=Reading(
            Limits(config.batch.max_rows, byte_count(config.batch.max_bytes)),
            _read(config, asked, passed),
            config.input.columns,
        ),
        writing=Writing(
            config.output.format,
            config.output.chosen_compression,
            asked.signature,
            passed,
            asked.model["name"],
            asked.model["version"],
        ),
        nan=config.nan,
        work=work,
    )


def _passing(config: BatchInferenceConfig, asked: Asked) -> tuple[Passing, pa.Schema]:
    """Return how rows pass through, and what of them becomes columns."""
    offer, key = asked.offers[0], config.input.key
    everything = EVERYTHING in config.output.include
    records = offer.format == "tfrecord"
    if records and everything and config.output.format == "tf_example" and key is None:
        return RecordPassing(), pa.schema([(RECORD, pa.binary())])
    if offer.format == "file_list":
        key = key or PATH
    names = [name for name in offer.columns if name != RECORD] if everything else list(config.output.include)
    for name in [*names, *([key] if key else [])]:
        for each in asked.offers:
            _require_column(name, each)
    if key is not None and pa.types.is_nested(offer.schema.field(key).type):
        raise ConfigError(f"the key {key!r} is a list", where=offer.where, expected="a column with one value a row")
    passed = pa.schema([offer.schema.field(name) for name in names])
    if not records:
        return ColumnPassing(tuple(names), key), passed
    parsed = [*names, *([key] if key and key not in names else [])]
    return FeaturePassing(pa.schema([offer.schema.field(name) for name in parsed]), key, tuple(names)), passed


def _require_column(name: str, offer: Offer) -> None:
    if name not in offer.columns:
        raise ConfigError(
            f"there is no column {name!r} to pass through",
            where=offer.where,
            received=name,
            expected=f"one of {', '.join(offer.columns)}" if offer.columns else "no column: these are whole files",
            hint=did_you_mean(name, offer.columns),
        )


def _read(config: BatchInferenceConfig, asked: Asked, passed: pa.Schema) -> pa.Schema:
    """Return the columns that are read, each with the type that its values should have."""
    offer = asked.offers[0]
    if offer.format == "tfrecord":
        return pa.schema([(RECORD, pa.binary())])
    if offer.format == "file_list":
        return offer.schema
    key = [config.input.key] if config.input.key else []
    names = dict.fromkeys([*asked.features.columns, *passed.names, *key])
    fields = [offer.schema.field(name) for name in names]
    if offer.format == "parquet":
        _require_types(fields, asked.offers)
    if offer.format != "jsonl":
        return pa.schema(fields)
    # What JSON wrote as 1 in the first rows may be 1.5 in a later one: the signature knows what it takes.
    return pa.schema([pa.field(f.name, _widened(f.type, asked.features.columns.get(f.name))) for f in fields])


def _require_types(fields: Sequence[pa.Field], offers: Sequence[Offer]) -> None:
    for offer in offers:
        for field in fields:
            if (found := offer.schema.field(field.name).type) != field.type:
                raise ConfigError(
                    f"the column {field.name!r} has another type than in the first file",
                    where=offer.where,
                    received=str(found),
                    expected=f"{field.type}, as in {offers[0].where}",
                )


def _widened(found: pa.DataType, wanted: pa.DataType | None) -> pa.DataType:
    """Return the type that was found with the bare values of the one that is wanted, if both are numbers."""
    if pa.types.is_list(found):
        return pa.list_(_widened(found.value_type, wanted))
    numbers = wanted is not None and pa.types.is_floating(wanted) and pa.types.is_integer(found)
    return wanted if numbers or (pa.types.is_null(found) and wanted is not None) else found


def _require_writable(signature: SignatureInfo) -> None:
    for output in signature.outputs:
        if value_type(output) is None:
            raise ConfigError(
                f"the output {output.name!r} has a type that no format holds",
                received=output.dtype,
                expected="numbers or texts",
                hint="leave it out of `outputs`, or cast it in the model",
            )


def _require_unique(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"two columns of the output would have the name {twice[0]!r}",
            received=", ".join(names),
            expected=f"{KEY!r} for what identifies a row, and other names for what is passed through and the outputs",
            hint="leave it out of `include`, or choose among the outputs with `outputs`",
        )
