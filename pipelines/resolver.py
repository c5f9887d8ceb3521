"""The Resolver step: artifacts of earlier runs, as TFX's resolver strategies find them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock.pipelines.catalog import ComponentType, Port

ArtifactName = Literal[
    "Examples",
    "ExampleAnomalies",
    "ExampleStatistics",
    "HyperParameters",
    "InferenceResult",
    "Model",
    "ModelBlessing",
    "ModelEvaluation",
    "ModelRun",
    "PushedModel",
    "Schema",
    "TransformCache",
    "TransformGraph",
]


class ResolverConfig(BaseModel):
    """What a Resolver step looks for in the earlier runs of this pipeline."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    strategy: Literal["latest", "latest_blessed"] = Field(
        description="latest: the newest artifact of each type; of PushedModels, the newest that was "
        "pushed. latest_blessed: the newest model that was blessed."
    )
    artifacts: dict[str, ArtifactName] = Field(
        default_factory=dict, description="Output name → artifact type. Only for latest."
    )

    @model_validator(mode="after")
    def _fits_strategy(self) -> ResolverConfig:
        if self.strategy == "latest" and not self.artifacts:
            raise ValueError("strategy 'latest' needs artifacts, such as {model: Model}")
        if self.strategy == "latest_blessed" and self.artifacts:
            raise ValueError("strategy 'latest_blessed' always gives model and model_blessing; leave artifacts out")
        return self

    def outputs(self) -> dict[str, Port]:
        """Return the ports that this configuration gives."""
        artifacts = self.artifacts or {"model": "Model", "model_blessing": "ModelBlessing"}
        return {name: Port(type_name) for name, type_name in artifacts.items()}


RESOLVER = ComponentType(
    name="Resolver",
    import_path="tfx.dsl.components.common.resolver.Resolver",
    config_model=f"{__name__}:ResolverConfig",
)
