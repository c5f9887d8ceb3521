"""What is asked of a served model on Kubernetes, and where its pods find it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.pipelines.models.find import Model

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?")
_CLAIM = re.compile(r"pvc://([a-z0-9][-a-z0-9.]*)/?(.*)")


@dataclass(frozen=True)
class ManifestOptions:
    """How models are served on a cluster.

    Attributes:
        image: TensorFlow Serving's image, with its tag.
        namespace: None leaves it to kubectl.
        name: Of the objects; None: the model's.
        replicas: Pods at least, a count.
        max_replicas: Pods at most, a count; as many as ``replicas``: never more or fewer.
        cpu: CPUs that each pod asks for.
        memory: Memory that each pod asks for and is limited to.
        service_account: Of the pods; it may read the bucket.
        batching: Whether to put requests together.
    """

    image: str
    namespace: str | None = None
    name: str | None = None
    replicas: int = 2
    max_replicas: int = 6
    cpu: str = "1"
    memory: str = "2Gi"
    service_account: str | None = None
    batching: bool = False

    def __post_init__(self) -> None:
        if self.max_replicas < self.replicas:
            raise ConfigError(
                "there cannot be fewer pods at most than at least",
                received=f"--replicas {self.replicas} --max-replicas {self.max_replicas}",
                expected="--max-replicas as large as --replicas, or larger",
            )
        if ":" not in self.image.rpartition("/")[2] or self.image.endswith(":latest"):
            raise ConfigError(
                "the image has no version of its own, so two pods may run two servers",
                received=f"--image {self.image}",
                expected="NAME:TAG, with a tag that does not move",
            )


@dataclass(frozen=True)
class Claim:
    """A folder on a PersistentVolumeClaim."""

    claim: str
    path: str

    @property
    def mount(self) -> str:
        """Where the plain variant mounts the claim."""
        return f"/models/{self.claim}"

    @property
    def folder(self) -> str:
        """The folder, as its pods see it."""
        return str(PurePosixPath(self.mount, self.path))


@dataclass(frozen=True)
class Placed:
    """A model, and where the cluster finds its base path.

    Attributes:
        model: The model.
        uri: ``gs://…``, ``pvc://claim/path``, or another store's URL.
    """

    model: Model
    uri: str

    @property
    def claim(self) -> Claim | None:
        """The claim that the base path lies on, None for an object store."""
        match = _CLAIM.fullmatch(self.uri)
        return Claim(match[1], match[2].strip("/")) if match else None


def placed(models: Sequence[Model], bases: Sequence[str], claims: Mapping[str, str] | None = None) -> list[Placed]:
    """Return where the cluster finds each model.

    Args:
        models: The models.
        bases: ``NAME=URI`` each, or one URI alone where there is one model; they go before what the project says.
        claims: Folder → the claim that steps on the cluster mount there: what is pushed below it lies on the claim.

    Raises:
        ConfigError: A base path is a folder of this machine, or no place of a cluster; a name is unknown.
    """
    given = _named(models, bases)
    return [
        Placed(model, _seen(model, given.get(model.name) or _on_claim(model.base, claims or {}))) for model in models
    ]


def object_name(wanted: str | None, models: Sequence[Model]) -> str:
    """Return the name of a cluster's objects: what was asked for, or the first model's.

    Raises:
        ConfigError: Kubernetes would refuse it.
    """
    name = wanted or models[0].name.lower().replace("_", "-").replace(".", "-")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "Kubernetes would refuse this name",
            received=name,
            expected="lower-case letters, digits and '-', a letter first, 52 characters at most",
            hint="name the objects: --name digits",
        )
    return name


def _named(models: Sequence[Model], bases: Sequence[str]) -> dict[str, str]:
    names = [model.name for model in models]
    given: dict[str, str] = {}
    for text in bases:
        name, equals, uri = text.partition("=")
        if not equals:
            if len(models) > 1:
                raise ConfigError(
                    "there are several models, and this base path does not say whose it is",
                    received=f"--base {text}",
                    expected=f"one of {', '.join(names)} before it: --base {names[0]}={text}",
                )
            name, uri = names[0], text
        if name not in names:
            raise ConfigError(
                f"there is no model {name!r} to serve",
                received=f"--base {text}",
                expected=f"one of {', '.join(names)}",
                hint=did_you_mean(name, names),
            )
        given[name] = uri
    return given


def _on_claim(base: str, claims: Mapping[str, str]) -> str:
    for folder, claim in claims.items():
        if PurePosixPath(base).is_relative_to(folder):
            return f"pvc://{claim}/{PurePosixPath(base).relative_to(folder)}"
    return base


def _seen(model: Model, uri: str) -> str:
    if "://" not in uri:
        raise ConfigError(
            f"{model.name} lies in a folder of this machine, and no pod of a cluster sees that",
            where=uri,
            expected="a base path on a volume, pvc://CLAIM/PATH, or in a bucket, gs://BUCKET/PATH",
            hint=f"copy the folder there and say where: --base {model.name}=pvc://CLAIM/{model.name}; or let the "
            f"Pusher push there: destination: {{directory: gs://BUCKET/{model.name}}}",
        )
    if uri.startswith("pvc://") and not _CLAIM.fullmatch(uri):
        raise ConfigError("this is no folder on a volume", received=uri, expected="pvc://CLAIM/PATH")
    if uri.startswith("file://"):
        return _seen(model, uri.removeprefix("file://"))
    return uri.rstrip("/")
