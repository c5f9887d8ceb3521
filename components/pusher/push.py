"""Decides whether a model may be pushed, and pushes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.components.pusher.config import Version
from penstock.components.pusher.publish import publish
from penstock.errors import ArtifactError


@dataclass(frozen=True)
class PushRequest:
    """What to push, where to and under which condition.

    Attributes:
        model: Folder of the SavedModel.
        directory: TF Serving base path.
        version: ``next``, ``timestamp`` or a positive integer.
        model_blessed: The Evaluator's verdict; None when there is none.
        infra_blessed: The InfraValidator's verdict; None when there is none.
        require_blessing: Whether a model that is not blessed is an error.
    """

    model: Path
    directory: Path
    version: Version = "next"
    model_blessed: bool | None = None
    infra_blessed: bool | None = None
    require_blessing: bool = False


@dataclass(frozen=True)
class PushResult:
    """The outcome of a push.

    Attributes:
        pushed: Whether a version was published.
        reason: Why it was, or was not.
        version: Number of the published version.
        path: Absolute path of the published version.
        digest: SHA-256 over the hashes of all its files, in hexadecimal.
    """

    pushed: bool
    reason: str
    version: int | None = None
    path: str | None = None
    digest: str | None = None


def push(request: PushRequest) -> PushResult:
    """Publish the model unless a verdict forbids it.

    Raises:
        ArtifactError: The model is no SavedModel, the version exists, or a required blessing is missing.
        EnvironmentProblem: The destination cannot be written.
    """
    objection = _objection(request)
    if objection:
        if request.require_blessing:
            raise ArtifactError(
                "the model may not be pushed",
                received=objection,
                expected="a blessed model, because `require_blessing` is true",
                hint="look at the Evaluator's metrics and thresholds, or set `require_blessing: false`",
            )
        return PushResult(pushed=False, reason=objection)

    published = publish(request.model, request.directory.absolute(), request.version)
    return PushResult(
        pushed=True,
        reason=f"{_approval(request)}, published as version {published.version}",
        version=published.version,
        path=str(published.path),
        digest=published.digest,
    )


def _objection(request: PushRequest) -> str | None:
    if request.model_blessed is False:
        return "not blessed by the Evaluator"
    if request.infra_blessed is False:
        return "not blessed by the InfraValidator"
    if request.require_blessing and request.model_blessed is None and request.infra_blessed is None:
        return "no Evaluator and no InfraValidator judged the model"
    return None


def _approval(request: PushRequest) -> str:
    judges = [
        judge
        for judge, verdict in (("Evaluator", request.model_blessed), ("InfraValidator", request.infra_blessed))
        if verdict
    ]
    return f"blessed by the {' and the '.join(judges)}" if judges else "no blessing asked for"
