"""The parameters of the Pusher."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from penstock.types import ProjectPath

INT64_MAX = 2**63 - 1

# Strict, so that YAML's `true` and `"7"` are not taken for numbers.
Version: TypeAlias = Literal["next", "timestamp"] | Annotated[int, Field(strict=True, ge=1, le=INT64_MAX)]


class Destination(BaseModel):
    """Where the model goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: ProjectPath = Field(
        min_length=1,
        description="TF Serving base path: a local folder, absolute or relative to the project. Made when missing.",
        examples=["serving/digits"],
    )

    @field_validator("directory")
    @classmethod
    def _is_local(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("must be a local folder, not a URL")
        return value


class PusherConfig(BaseModel):
    """Typed parameters of :class:`penstock.components.pusher.component.Pusher`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: Destination = Field(description="Where the model goes.")
    version: Version = Field(
        default="next",
        description=(
            "Number of the new version: `next` (highest present + 1), `timestamp` (seconds since 1970, or highest "
            "present + 1 when that is more) or a positive integer that is not there yet."
        ),
    )
    require_blessing: bool = Field(
        default=False,
        description="Fail the step, instead of pushing nothing, when the model is not blessed or nobody judged it.",
    )
