"""The parameters of the Pusher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from penstock.components.pusher.words import is_url, require_address, require_label, require_model_name, seconds
from penstock.serving.versions import INT64_MAX
from penstock.types import ProjectPath

WARM_UP_LIMIT = 1000
"""Requests that TF Serving replays when it loads a model, a count, at most; one more fails the load."""

# Strict, so that YAML's `true` and `"7"` are not taken for numbers.
Number: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=INT64_MAX)]
Version: TypeAlias = Literal["next", "timestamp"] | Number
LabelValue: TypeAlias = Literal["this", "latest", "keep"] | Number
Label: TypeAlias = Annotated[str, AfterValidator(require_label)]


def _require_duration(text: str) -> str:
    seconds(text)
    return text


_FOR_SERVERS = ("model_name", "labels", "warmup", "batching", "wait_until_available")
"""Parameters that say something to, or of, a model server."""

Duration: TypeAlias = Annotated[str, AfterValidator(_require_duration)]


class Options(BaseModel):
    """Base of all groups: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TfServing(Options):
    """A running model server and the base path that it reads."""

    base_path: ProjectPath = Field(
        min_length=1, description="The base path, as here and on the server: a folder that both see, or a URL."
    )
    grpc: Annotated[str, AfterValidator(require_address)] = Field(
        description="The server's gRPC address, host:port.", examples=["localhost:8500"]
    )


class Destination(Options):
    """Where the model goes: one of ``directory``, ``tf_serving`` and ``tflite_directory``."""

    directory: ProjectPath | None = Field(
        default=None,
        min_length=1,
        description="TF Serving base path: a folder, absolute or relative to the project, made when missing; or the "
        "URL of one in an object store, such as gs://bucket/digits, which needs `config`.",
        examples=["serving/digits"],
    )
    tf_serving: TfServing | None = Field(
        default=None, description="The same for a server that is running: it is asked, and told, about the version."
    )
    tflite_directory: ProjectPath | None = Field(
        default=None,
        min_length=1,
        description="A folder for the flatbuffers of input `tflite_model`, made when missing: each version holds "
        "MODE/model.tflite for every mode that is blessed.",
        examples=["serving/digits-tflite"],
    )
    config: ProjectPath | None = Field(
        default=None,
        min_length=1,
        description="The server's models.config, generated. Default, when `model_name` or `labels` is set: "
        "models.config in the folder that holds the base path.",
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Destination:
        if [self.directory, self.tf_serving, self.tflite_directory].count(None) != 2:
            raise ValueError("give one of `directory`, `tf_serving` and `tflite_directory`")
        if self.flatbuffers and self.config is not None:
            raise ValueError("`config` is a model server's, and none reads the flatbuffers of `tflite_directory`")
        if self.flatbuffers and is_url(self.base):
            raise ValueError(
                "`tflite_directory` must be a folder: an object store cannot rename, so devices could fetch half a "
                "version"
            )
        if is_url(self.base) and self.config is None:
            raise ValueError(
                "an object store cannot rename, so its server must not poll it: add `config`, the path of the "
                "models.config that the server runs with"
            )
        if self.config is not None and is_url(self.config):
            raise ValueError("`config` must be a local file, not a URL")
        return self

    @property
    def base(self) -> str:
        """The base path, as given."""
        return self.tf_serving.base_path if self.tf_serving else self.directory or self.tflite_directory or ""

    @property
    def flatbuffers(self) -> bool:
        """Whether flatbuffers are pushed, which no model server reads, and not SavedModels."""
        return self.tflite_directory is not None

    @property
    def grpc(self) -> str | None:
        """The server's gRPC address, if it is known."""
        return self.tf_serving.grpc if self.tf_serving else None


class WarmUp(Options):
    """Real rows that the model answers before it is published, and a server before it serves it."""

    rows: PositiveInt = Field(
        default=20,
        le=WARM_UP_LIMIT,
        description="Rows, a count; each becomes one request to every signature that takes such rows.",
    )
    split: str = Field(default="eval", min_length=1, description="The split of `examples` that they are taken from.")


class Batching(Options):
    """How a server that batches puts this model's requests together."""

    max_batch_size: PositiveInt = Field(description="Rows of a batch, a count, at most.")
    batch_timeout_micros: int = Field(default=0, ge=0, description="Longest wait for a full batch, in microseconds.")
    max_enqueued_batches: PositiveInt | None = Field(
        default=None, description="Batches that may wait, a count; more requests are refused. Default: the server's."
    )
    num_batch_threads: PositiveInt | None = Field(
        default=None, description="Batches that are computed at once, a count. Default: one a CPU."
    )
    allowed_batch_sizes: tuple[PositiveInt, ...] | None = Field(
        default=None,
        min_length=1,
        description="Batches are filled up to the next of these sizes: ascending, the last is `max_batch_size`.",
    )

    @model_validator(mode="after")
    def _sizes_ascend(self) -> Batching:
        sizes = self.allowed_batch_sizes
        if sizes is not None and (list(sizes) != sorted(set(sizes)) or sizes[-1] != self.max_batch_size):
            raise ValueError(f"`allowed_batch_sizes` must ascend and end with `max_batch_size` ({self.max_batch_size})")
        return self


class PusherConfig(Options):
    """Typed parameters of :class:`penstock.components.pusher.component.Pusher`."""

    destination: Destination = Field(description="Where the model goes.")
    model_name: str | None = Field(
        default=None,
        description="The model's name on the server: letters, digits, _, - and dots. Default: the base path's last "
        "part.",
    )
    version: Version = Field(
        default="next",
        description=(
            "Number of the new version: `next` (highest present + 1), `timestamp` (seconds since 1970, or highest "
            "present + 1 when that is more) or a positive integer that was not there yet."
        ),
    )
    labels: dict[Label, LabelValue] = Field(
        default={},
        description="Label → `this` version (also `latest`), `keep` (where it is; this version if it is nowhere) or "
        "the number of a version. Labels that are not named here stay where they are. Where labels are used, the "
        "labelled versions and the one just pushed are served, no other.",
    )
    warmup: WarmUp | None = Field(
        default=None, description="Warm-up requests, made of the rows of input `examples`. Default: the model's own."
    )
    batching: Batching | None = Field(
        default=None, description="Becomes the model's batching_params.pbtxt. Default: the server's own parameters."
    )
    wait_until_available: Duration | None = Field(
        default=None,
        description="Wait so long, such as 60s or 5m, until the server has the version AVAILABLE: the one of "
        "`tf_serving`, or the one that `penstock serve` started; no wait where none runs. Default: 60s where labels "
        "are used.",
    )
    keep_versions: PositiveInt | None = Field(
        default=None,
        description="Newest versions that stay, a count; older ones that the Pusher published are removed unless a "
        "label or a config names them. Default: all.",
    )
    gate_timeout: Duration = Field(
        default="10m", description="How long the model may take to load and to answer its warm-up requests."
    )
    require_blessing: bool = Field(
        default=False,
        description="Fail the step, instead of pushing nothing, when the model is not blessed or nobody judged it.",
    )

    @field_validator("model_name")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        return None if value is None else require_model_name(value)

    @model_validator(mode="after")
    def _flatbuffers_need_no_server(self) -> PusherConfig:
        given = [f"`{name}`" for name in _FOR_SERVERS if getattr(self, name)]
        if self.destination.flatbuffers and given:
            raise ValueError(
                f"no model server reads the flatbuffers of `tflite_directory`; leave out {', '.join(given)}, or push "
                "the SavedModel to a `directory` by another step"
            )
        return self

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> PusherConfig:
        if self.wait_until_available is not None and self.destination.grpc is None and self.config_file is None:
            raise ValueError(
                "`wait_until_available` has no server to ask: write destination: {tf_serving: {base_path: "
                f"{self.destination.base}, grpc: localhost:8500}}}}, or add `model_name` and run `penstock serve`"
            )
        if self.model_name is None and self.config_file is not None:
            require_model_name(self.name)
        return self

    @property
    def name(self) -> str:
        """The model's name on the server."""
        return self.model_name or self.destination.base.rstrip("/").rpartition("/")[2]

    @property
    def config_file(self) -> Path | None:
        """The models.config to keep, None where nothing asks for one: a hand-written one beside is none of ours."""
        if self.destination.config is not None:
            return Path(self.destination.config)
        if self.model_name is None and not self.labels:
            return None
        return Path(self.destination.base).absolute().parent / "models.config"

    def unused_inputs(self) -> frozenset[str]:
        """Return the inputs that these parameters leave without a use; they are not wired by themselves."""
        other = "model" if self.destination.flatbuffers else "tflite_model"
        return frozenset({other} if self.warmup else {other, "examples"})

    def needed_inputs(self) -> frozenset[str]:
        """Return the optional inputs that these parameters cannot do without."""
        return frozenset({"tflite_model" if self.destination.flatbuffers else "model"})
