"""The parameters of batch inference."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from penstock.components.batch_inference.words import (
    Compression,
    InputFormat,
    OutputFormat,
    byte_count,
    compression_of,
    suffix_of,
)
from penstock.types import ProjectPath

EVERYTHING = "*"
"""In ``include``: every column of the input."""

_MOST_BYTES = 10**9


def _require_size(text: str) -> str:
    byte_count(text)
    return text


Size: TypeAlias = Annotated[str, AfterValidator(_require_size)]
Name: TypeAlias = Annotated[str, Field(min_length=1)]


class Options(BaseModel):
    """Base of all groups: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Input(Options):
    """Where rows come from, and how a file becomes rows."""

    files: ProjectPath | None = Field(
        default=None,
        min_length=1,
        description="Path, URL or glob of the input files. Default: the files of the input `examples`.",
        examples=["data/*.csv"],
    )
    splits: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Splits of `examples` to score. Default: all."
    )
    format: InputFormat | None = Field(
        default=None, description="What the files hold. Default: what their names say; gzip is recognised by itself."
    )
    columns: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of the columns, in order, of CSV without a header, or of JSON rows that are bare lists.",
    )
    key: Name | None = Field(
        default=None,
        description="The column that identifies a row in the output. Default: its file and number, as eval.csv:17; "
        "numbers begin at 0.",
    )
    split_size: Size = Field(
        default="512MB",
        description="Files larger than this, in bytes, are scored in several shards where their format allows: "
        "TFRecord and JSON Lines without compression, and Parquet; behind a URL Parquet only.",
    )


class Output(Options):
    """What is written."""

    format: OutputFormat = Field(default="jsonl", description="What the result files hold.")
    include: tuple[Name, ...] = Field(
        default=(), description=f"Columns of the input that are passed through; [{EVERYTHING!r}] passes all of them."
    )
    outputs: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Outputs of the signature to write. Default: all."
    )
    compression: Compression | None = Field(
        default=None,
        description="Compression of the result files; Default: gzip for TFRecords, as TFX reads them, snappy inside "
        "Parquet, none otherwise.",
    )

    @model_validator(mode="after")
    def _has_the_compression(self) -> Output:
        compression_of(self.compression, self.format)
        return self

    @property
    def chosen_compression(self) -> Compression:
        """The compression, with the format's default."""
        return compression_of(self.compression, self.format)

    @property
    def suffix(self) -> str:
        """What the names of the result files end with."""
        return suffix_of(self.format, self.chosen_compression)


class Batch(Options):
    """The limits of a batch; within them its size grows as long as that makes the model faster."""

    max_rows: PositiveInt = Field(default=4096, description="Rows of a batch, a count, at most.")
    max_bytes: Size = Field(
        default="64MB", description="Input of a batch, in bytes, at most, up to 1GB; one row always fits."
    )

    @field_validator("max_bytes")
    @classmethod
    def _fits_a_column(cls, value: str) -> str:
        if byte_count(value) > _MOST_BYTES:
            raise ValueError(f"must be at most 1GB; received {value!r}")
        return value


class RemoteServer(Options):
    """A server that speaks TensorFlow Serving's gRPC."""

    grpc: str = Field(min_length=3, description="Its address, host:port.", examples=["localhost:8500"])
    model: Name = Field(description="The model's name on the server.")
    label: Name | None = Field(default=None, description="Ask the version that this label names.")
    version: PositiveInt | None = Field(default=None, description="Ask this version.")
    in_flight: PositiveInt = Field(default=4, description="Requests of one worker process at the same time, a count.")
    deadline: float = Field(default=30.0, gt=0, description="Time for one attempt to score a batch, in seconds.")
    retries: int = Field(default=5, ge=0, description="How often a batch is sent again when the server is away.")

    @model_validator(mode="after")
    def _names_one_version(self) -> RemoteServer:
        if self.label is not None and self.version is not None:
            raise ValueError("give either `label` or `version`")
        return self


class Remote(Options):
    """Ask a server instead of loading the model into the workers."""

    remote: RemoteServer = Field(description="The server.")


class BatchInferenceConfig(Options):
    """Typed parameters of :class:`penstock.components.batch_inference.component.BatchInference`."""

    signature: Name = Field(default="serving_default", description="The signature that is asked.")
    input: Input = Field(default=Input(), description="Where rows come from.")
    output: Output = Field(default=Output(), description="What is written.")
    batch: Batch = Field(default=Batch(), description="Limits of a batch.")
    nan: Literal["error", "keep"] = Field(
        default="error",
        description="Rows with a NaN among the numbers that the signature takes, or in an output: `error` puts them "
        "into the errors file, `keep` takes them as they are (JSON has null for it).",
    )
    max_error_rate: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the rows that may end in the errors file; with more the step fails and publishes "
        "nothing. 0 takes no bad row, 1 takes any.",
    )
    mode: Literal["saved_model"] | Remote = Field(
        default="saved_model",
        description="`saved_model` loads the model into the worker processes; `{remote: {grpc: host:8500, model: "
        "digits}}` asks a server.",
    )

    @property
    def remote(self) -> RemoteServer | None:
        """The server to ask, None where the model is loaded here."""
        return self.mode.remote if isinstance(self.mode, Remote) else None

    @property
    def deterministic(self) -> bool:
        """Whether all that decides the results is known to ML Metadata; what a server or files hold is not."""
        return self.remote is None and self.input.files is None

    def unused_inputs(self) -> frozenset[str]:
        """Return the inputs that these parameters leave without a use; they are not wired by themselves."""
        unused = {"examples"} if self.input.files is not None else set()
        return frozenset(unused | ({"model", "model_blessing", "pushed_model"} if self.remote else set()))
