"""What the judges of a model said, as reasons to push it or not."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.components.pusher.config import PusherConfig
from penstock.errors import ArtifactError


@dataclass(frozen=True)
class Verdicts:
    """What was said of a model.

    Attributes:
        model: The Evaluator's verdict; None when there is none.
        infra: The InfraValidator's verdict; None when there is none.
    """

    model: bool | None = None
    infra: bool | None = None

    def objection(self) -> str | None:
        """Return why a verdict forbids to push, or None."""
        if self.model is False:
            return "not blessed by the Evaluator"
        if self.infra is False:
            return "not blessed by the InfraValidator"
        return None

    def approval(self, *others: str) -> str:
        """Return who blessed what was pushed, ``others`` besides."""
        verdicts = {"Evaluator": self.model, "InfraValidator": self.infra, **dict.fromkeys(others, True)}
        judges = [judge for judge, verdict in verdicts.items() if verdict]
        return f"blessed by the {' and the '.join(judges)}" if judges else "no blessing asked for"


def require_no_blessing(config: PusherConfig, objection: str) -> None:
    """Fail where the step may not succeed without a push.

    Args:
        config: The Pusher's parameters.
        objection: Why nothing is pushed.

    Raises:
        ArtifactError: The parameters require a blessing.
    """
    if config.require_blessing:
        raise ArtifactError(
            "the model may not be pushed",
            received=objection,
            expected="a blessed model, because `require_blessing` is true",
            hint="look at the Evaluator's metrics and thresholds, or set `require_blessing: false`",
        )
