"""The typed configuration: what the top level and every step may say."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from penstock.pipelines.config.base import FLAG, PIPELINE_NAME, SERVER_NAME, STEP_NAME, WIRE, Model, Text, Variable
from penstock.pipelines.config.kubeflow import KubeflowConfig, ResourcesConfig

ServerName = Annotated[str, StringConstraints(pattern=SERVER_NAME)]
StepName = Annotated[str, StringConstraints(pattern=STEP_NAME)]
Wire = Annotated[str, StringConstraints(pattern=WIRE)]
# YAML has lists only; strict pydantic would take no list for a tuple. The items stay strict.
Wires = Annotated[tuple[Wire, ...], Field(strict=False)]
StepNames = Annotated[tuple[StepName, ...], Field(strict=False)]
Files = Annotated[tuple[Text, ...], Field(strict=False)]
Flag = Annotated[str, StringConstraints(pattern=FLAG)]
FlagScalar = str | int | float | bool
FlagScalars = Annotated[tuple[FlagScalar, ...], Field(strict=False)]


class ServerConfig(Model):
    """A database of a server."""

    host: ServerName = Field(description="Name or address of the server.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Its port; null: 3306 for MySQL, 5432 for PostgreSQL."
    )
    database: ServerName = Field(description="Name of the database; made when it is not there and the user may.")
    user: ServerName = Field(description="Who logs in.")
    password_env: Variable | None = Field(
        default=None, description="Environment variable that holds the password; null: none is needed."
    )


class MetadataConfig(Model):
    """Where ML Metadata is kept."""

    sqlite: Text = Field(
        default="${root}/metadata.sqlite",
        description="SQLite file of the metadata store; project-relative or absolute.",
    )
    mysql: ServerConfig | None = Field(default=None, description="A database of MySQL or MariaDB instead.")
    postgresql: ServerConfig | None = Field(default=None, description="A database of PostgreSQL instead.")

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        named = [name for name in ("sqlite", "mysql", "postgresql") if name in self.model_fields_set]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are given; a pipeline has one metadata store")
        return self


class BeamConfig(Model):
    """How Beam work is run."""

    runner: Text = Field(
        default="direct", description="Beam runner: direct, dataflow, flink, spark or any other that Beam has."
    )
    options: dict[Flag, FlagScalar | FlagScalars] = Field(
        default={},
        description="Beam's command line flags without their dashes; a list gives the flag several times. "
        "`setup_file: auto` ships Penstock and the project's code to workers elsewhere.",
    )
    job_server_jar: Text | None = Field(
        default=None,
        description="Beam's job server for Flink or Spark, a file; project-relative or absolute. Default: the one of "
        "the installed Beam, from Maven Central, kept in ~/.apache_beam/cache/jars.",
    )


class StepConfig(Model):
    """One step of the pipeline."""

    component: Text = Field(description="A built-in component's name, or the import path of any TFX component.")
    inputs: dict[Text, Wire | Wires] = Field(
        default={},
        description="Input channels that are not wired by themselves: input name to 'step.output' or a list of those.",
    )
    with_: dict[str, Any] = Field(default={}, alias="with", description="The component's parameters.")
    cache: bool | None = Field(
        default=None,
        description="Whether an earlier result for the same inputs, parameters and code is used; null: as the pipeline "
        "says, but never where the component's results depend on more than these.",
    )
    after: StepNames = Field(default=(), description="Steps that must have run before, beyond those wired to this one.")
    enabled: bool = Field(default=True, description="Whether the step is part of the pipeline.")
    resources: ResourcesConfig = Field(
        default=ResourcesConfig(), description="What the step's container is given on a cluster."
    )


class PipelineConfig(Model):
    """A whole pipeline."""

    extends: Text | Files = Field(
        default=(),
        description="Files, relative to this one, that this one is laid on: mappings merge key by key, anything else "
        "takes the place of theirs, a list too; a null deletes a key of theirs.",
    )
    pipeline: Annotated[str, StringConstraints(pattern=PIPELINE_NAME)] = Field(description="The pipeline's name.")
    root: Text = Field(description="Folder of artifacts, logs and metadata; project-relative, absolute or a URL.")
    vars: dict[str, Any] = Field(default={}, description="Values to be named as '${vars.name}' anywhere in the file.")
    metadata: MetadataConfig = Field(default=MetadataConfig(), description="Where ML Metadata is kept.")
    beam: BeamConfig = Field(default=BeamConfig(), description="How Beam work is run.")
    cache: bool = Field(
        default=True,
        description="Whether steps use earlier results for the same inputs and parameters.",
    )
    kubeflow: KubeflowConfig | None = Field(
        default=None, description="How it runs on Kubeflow Pipelines or Vertex AI. Default: it runs on this machine."
    )
    steps: dict[StepName, StepConfig] = Field(min_length=1, description="The steps by name; at least one.")
