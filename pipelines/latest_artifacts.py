"""The newest artifact of each type, as the Resolver's strategy ``latest`` finds it. Imports TFX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy


class LatestArtifacts(LatestArtifactStrategy):  # type: ignore[misc]  # TFX has no types.
    """TFX's own strategy, without the PushedModels of runs in which a Pusher pushed nothing."""

    def resolve_artifacts(
        self, store: Any, input_dict: Mapping[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """Return the newest artifacts that hold something, None where a type has none."""
        candidates = {name: [one for one in found if _holds_something(one)] for name, found in input_dict.items()}
        resolved: dict[str, list[types.Artifact]] | None = super().resolve_artifacts(store, candidates)
        return resolved


def _holds_something(artifact: types.Artifact) -> bool:
    return bool(artifact.type_name != "PushedModel" or artifact.get_int_custom_property("pushed") == 1)
