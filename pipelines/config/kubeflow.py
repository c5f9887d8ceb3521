"""The typed configuration of a cluster: the ``kubeflow`` block, and a step's ``resources``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from penstock.pipelines.config.base import (
    CPU,
    CRON,
    ENTRY_NAME,
    HOST,
    IMAGE,
    MEMORY,
    MOUNT,
    OBJECT_NAME,
    Model,
    Text,
    Variable,
)
from penstock.types import FunctionPath

Image = Annotated[str, StringConstraints(pattern=IMAGE)]
ObjectName = Annotated[str, StringConstraints(pattern=OBJECT_NAME)]


class AcceleratorConfig(Model):
    """Accelerators of one step's container."""

    type: Text = Field(
        description="What the cluster calls it: 'nvidia.com/gpu' on Kubernetes, 'NVIDIA_TESLA_T4' on Vertex AI."
    )
    count: int = Field(default=1, ge=1, description="How many, a count.")


class ResourcesConfig(Model):
    """What a step's container is given on a cluster. A run on one machine does not look at it."""

    cpu: int | float | Annotated[str, StringConstraints(pattern=CPU)] | None = Field(
        default=None, description="Cores that are asked for and not exceeded: a number, or '500m'. Default: no limit."
    )
    memory: Annotated[str, StringConstraints(pattern=MEMORY)] | None = Field(
        default=None, description="Memory that is asked for and not exceeded, such as 8Gi. Default: no limit."
    )
    accelerator: AcceleratorConfig | None = Field(default=None, description="Accelerators. Default: none.")
    image: Image | None = Field(default=None, description="Another image than the pipeline's, for this step alone.")
    retries: int | None = Field(
        default=None, ge=0, description="How often the step is tried again, a count. Default: as `kubeflow` says."
    )


class SecretConfig(Model):
    """One value of a Kubernetes secret; its text stands nowhere in a config or in a compiled pipeline."""

    secret: ObjectName = Field(description="The secret's name.")
    key: Annotated[str, StringConstraints(pattern=ENTRY_NAME)] = Field(description="The value's key in it.")


class VolumeConfig(Model):
    """A volume of the cluster, mounted in every step's container."""

    claim: ObjectName = Field(description="The PersistentVolumeClaim's name.")
    path: Annotated[str, StringConstraints(pattern=MOUNT)] = Field(description="Where it is mounted, absolute.")


class ScheduleConfig(Model):
    """When the deployed pipeline is run by itself."""

    cron: Annotated[str, StringConstraints(pattern=CRON)] = Field(
        description="Minute, hour, day, month and weekday, such as '0 3 * * *'."
    )
    timezone: Text | None = Field(
        default=None, description="Time zone of `cron`, such as Europe/Berlin; Vertex AI only. Default: UTC."
    )
    start: Annotated[datetime, Field(strict=False)] | None = Field(default=None, description="No run before this time.")
    end: Annotated[datetime, Field(strict=False)] | None = Field(default=None, description="No run after this time.")
    max_concurrent: int = Field(default=1, ge=1, le=10, description="Runs at the same time, a count, at most.")
    catch_up: bool = Field(default=False, description="Whether runs that were missed are made up for.")
    enabled: bool = Field(default=True, description="Whether it is active once it is deployed.")


class VertexConfig(Model):
    """Where on Vertex AI the pipeline runs."""

    project: Text = Field(description="The Google Cloud project's id.")
    region: Text = Field(description="The region, such as europe-west4.")
    network: Text | None = Field(
        default=None, description="Full name of a VPC network that the steps are connected with. Default: none."
    )
    encryption_key: Text | None = Field(
        default=None, description="Full name of a Cloud KMS key that protects the run. Default: Google's."
    )


class KubeflowConfig(Model):
    """How the pipeline runs on Kubeflow Pipelines or on Vertex AI."""

    target: Literal["kubeflow", "vertex"] = Field(default="kubeflow", description="Which of the two it is.")
    image: Image = Field(description="Image of every step: Penstock and the modules that the pipeline names.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled. Default: as the cluster decides."
    )
    image_pull_secrets: Annotated[tuple[ObjectName, ...], Field(strict=False)] = Field(
        default=(), description="Names of the secrets for the image's registry."
    )
    host: Annotated[str, StringConstraints(pattern=HOST)] | None = Field(
        default=None, description="URL of the Kubeflow Pipelines API; `penstock deploy --host` goes before it."
    )
    namespace: ObjectName | None = Field(default=None, description="Namespace of the runs. Default: the user's own.")
    experiment: Text | None = Field(default=None, description="Experiment of the runs. Default: the pipeline's name.")
    service_account: Text | None = Field(
        default=None, description="Account that the steps run as: a Kubernetes service account, or one's e-mail."
    )
    retries: int = Field(default=0, ge=0, le=100, description="How often a failed step is tried again, a count.")
    retry_wait: int = Field(
        default=30, ge=0, description="Seconds before the first of these attempts; doubled before each further one."
    )
    environment: dict[Variable, str | int | float | bool] = Field(
        default={}, description="Environment variables of every step. They are written out in the compiled pipeline."
    )
    secrets: dict[Variable, SecretConfig] = Field(
        default={}, description="Environment variables of every step whose values the cluster takes from its secrets."
    )
    volumes: Annotated[tuple[VolumeConfig, ...], Field(strict=False)] = Field(
        default=(), description="Volumes of every step, such as the one that a model server reads."
    )
    node_selector: dict[Text, str] = Field(
        default={}, description="Labels that a node must have to run a step, such as {pool: training}."
    )
    exit_handler: FunctionPath | None = Field(
        default=None,
        description="Import path of a function that is called with the run's outcome once it has ended, well or not.",
    )
    schedule: ScheduleConfig | None = Field(
        default=None, description="When `penstock deploy` lets it run. Default: once, at once."
    )
    vertex: VertexConfig | None = Field(default=None, description="Where on Vertex AI; needed for target vertex.")
