"""The ``cluster`` option: who starts the processes of a strategy that has several. Imports no TensorFlow and no TFX."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from penstock.components.trainer.options import Options

RESERVED_VARIABLES = frozenset({"TF_CONFIG", "PYTHONUNBUFFERED", "TF_USE_LEGACY_KERAS"})


def _matching(pattern: str, what: str) -> Callable[[str], str]:
    """Return a check that says what is wanted in words; Kubernetes itself would refuse the value much later."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is no {what}")
        return value

    return check


Name = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?",
            "name of a Kubernetes object; write lower-case letters, digits, '-' and '.'",
        )
    ),
]
Label = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
            "name of a namespace; write lower-case letters, digits and '-', 63 characters at most",
        )
    ),
]
Variable = Annotated[
    str,
    AfterValidator(
        _matching("[A-Za-z_][A-Za-z0-9_]*", "name of an environment variable; write letters, digits and '_'")
    ),
]
Quantity = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?",
            "quantity; write a number and one of m, k, M, G, T, Ki, Mi, Gi, Ti, such as 500m or 16Gi",
        )
    ),
]
Folder = Annotated[str, AfterValidator(_matching(r"/[^:]+", "absolute path below '/'"))]
RestartPolicy = Literal["auto", "never", "on_failure", "exit_code"]


class LocalLauncher(Options):
    """Processes on this machine."""

    launcher: Literal["local"] = Field(default="local", description="Who starts the processes.")


class Accelerator(Options):
    """Devices of one kind that a pod gets."""

    type: str = Field(
        default="nvidia.com/gpu", min_length=1, description="The cluster's name of the device. Default nvidia.com/gpu."
    )
    count: PositiveInt = Field(default=1, description="Devices a pod, a count. Default 1.")


class PodResources(Options):
    """What each pod of a kind asks for, and is limited to."""

    cpu: PositiveInt | PositiveFloat | Quantity | None = Field(
        default=None, description="CPUs, such as 4 or 500m. Default: the namespace's."
    )
    memory: Quantity | None = Field(
        default=None, description="Memory, such as 16Gi; more gets the pod killed. Default: the namespace's."
    )
    accelerator: Accelerator | None = Field(default=None, description="Accelerators. Default none.")


class Resources(Options):
    """Resources by kind of pod."""

    chief: PodResources = Field(default=PodResources(), description="Of the chief.")
    worker: PodResources = Field(default=PodResources(), description="Of each worker.")
    ps: PodResources = Field(default=PodResources(), description="Of each parameter server.")


class ClaimVolume(Options):
    """A volume that all pods mount."""

    claim: Name = Field(description="Name of the PersistentVolumeClaim, in the job's namespace.")
    path: Folder = Field(description="Where it is mounted, absolute.")
    read_only: bool = Field(default=False, description="Mount it read-only. Default no.")


class SecretKey(Options):
    """One value of a Kubernetes secret."""

    secret: Name = Field(description="Name of the secret, in the job's namespace.")
    key: str = Field(min_length=1, description="The value's key in the secret.")


class KubernetesLauncher(Options):
    """A training job on Kubernetes: a TFJob of Kubeflow's training operator, a pod a process."""

    launcher: Literal["kubernetes"] = Field(description="local or kubernetes: who starts the processes.")
    shared: Folder = Field(
        description="Folder that this step and all pods see at the same path, on a volume that many pods may write "
        "(ReadWriteMany). Checkpoints are kept there, and what the pods cannot see is copied there.",
    )
    volumes: tuple[ClaimVolume, ...] = Field(description="Volumes that the pods mount; one holds the shared folder.")
    image: str | None = Field(
        default=None,
        min_length=1,
        description="Image with Penstock and the project's modules. Default: the one that the step itself runs in.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When nodes fetch the image. Default: Kubernetes's."
    )
    image_pull_secrets: tuple[Name, ...] = Field(
        default=(), description="Names of the secrets to fetch the image with. Default none."
    )
    namespace: Label | None = Field(
        default=None, description="Namespace of the job. Default: the step's own, or kubectl's."
    )
    service_account: Name | None = Field(
        default=None, description="Service account of the pods. Default: the namespace's."
    )
    resources: Resources = Field(default=Resources(), description="CPUs, memory and accelerators of the pods.")
    restart_policy: RestartPolicy = Field(
        default="auto",
        description="What becomes of pods that fail: 'never'; 'exit_code', those that were killed or lost a peer start "
        "again; 'on_failure', all do. Default auto: exit_code where max_restarts is positive, else never.",
    )
    environment: dict[Variable, str] = Field(default={}, description="Environment variables of the pods. Default none.")
    secrets: dict[Variable, SecretKey] = Field(
        default={}, description="Environment variables whose values are in Kubernetes secrets. Default none."
    )
    node_selector: dict[str, str] = Field(default={}, description="Labels of the nodes to run on. Default any.")
    labels: dict[str, str] = Field(default={}, description="Further labels of the pods. Default none.")
    annotations: dict[str, str] = Field(default={}, description="Further annotations of the pods. Default none.")
    start_timeout: PositiveInt = Field(
        default=1800, description="How long pods may wait for nodes, images and volumes, in seconds. Default 1800."
    )
    timeout: PositiveInt | None = Field(
        default=None, description="How long the job may run, in seconds. Default: without end."
    )
    ttl: PositiveInt = Field(
        default=3600,
        description="After how long the cluster removes a finished job that this step could not remove, in seconds. "
        "Default 3600.",
    )
    kubeconfig: str | None = Field(
        default=None,
        min_length=1,
        description="kubectl's config file, where the step runs outside. Default: kubectl's.",
    )
    context: str | None = Field(default=None, min_length=1, description="Context of that file. Default: its current.")

    @model_validator(mode="after")
    def _pods_see_the_shared_folder(self) -> KubernetesLauncher:
        holders = [volume for volume in self.volumes if PurePosixPath(self.shared).is_relative_to(volume.path)]
        if not holders:
            raise ValueError(
                f"shared: {self.shared} lies on none of the volumes that the pods mount "
                f"({', '.join(volume.path for volume in self.volumes) or 'none'}); name a folder below one of them"
            )
        if all(volume.read_only for volume in holders):
            raise ValueError(f"shared: {self.shared} lies on a volume that is mounted read_only, and pods write there")
        return self

    @field_validator("volumes")
    @classmethod
    def _each_at_a_place_of_its_own(cls, volumes: tuple[ClaimVolume, ...]) -> tuple[ClaimVolume, ...]:
        paths = [volume.path.rstrip("/") for volume in volumes]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        if twice:
            raise ValueError(f"two volumes are mounted at {', '.join(twice)}; give each a path of its own")
        return volumes

    @model_validator(mode="after")
    def _variables_have_one_value(self) -> KubernetesLauncher:
        names = {*self.environment, *self.secrets}
        if both := sorted(self.environment.keys() & self.secrets.keys()):
            raise ValueError(f"environment and secrets both set {', '.join(both)}; keep one of them")
        if taken := sorted(names & RESERVED_VARIABLES):
            raise ValueError(f"{', '.join(taken)} is set by Penstock or the operator; leave it out")
        return self


ClusterOptions = Annotated[LocalLauncher | KubernetesLauncher, Field(discriminator="launcher")]
"""The type of the ``cluster`` field."""


def wanted_restarts(options: KubernetesLauncher, max_restarts: int) -> Literal["Never", "OnFailure", "ExitCode"]:
    """Return the operator's word for what becomes of pods that fail."""
    words: dict[Any, Literal["Never", "OnFailure", "ExitCode"]] = {
        "never": "Never",
        "on_failure": "OnFailure",
        "exit_code": "ExitCode",
        "auto": "ExitCode" if max_restarts else "Never",
    }
    return words[options.restart_policy]
