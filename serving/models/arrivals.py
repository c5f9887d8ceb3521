"""The models that a reload waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry
from penstock.serving.models.monitor import Monitor, unavailable


@dataclass(frozen=True)
class Arrivals:
    """The models that are new to a config, until each has a version that is available or failed.

    Attributes:
        entries: The models.
        since: Number of the last change of a state that does not count.
        noun: What TF Serving calls them: ``servable`` in a first config, ``model`` in a later one.
    """

    entries: tuple[ModelEntry, ...]
    since: int
    noun: str

    def is_over(self, monitor: Monitor, config: Sequence[ModelEntry]) -> bool:
        """Tell whether there is nothing to wait for any more.

        Args:
            monitor: The states.
            config: The models that are asked for by now.
        """
        return bool(self._dropped(config)) or monitor.outcomes(self._names(), self.since) is not None

    def check(self, monitor: Monitor, config: Sequence[ModelEntry]) -> None:
        """Say how it ended; as :meth:`is_over`.

        Raises:
            ServingError: A model failed, is not there yet, or is not asked for any more.
        """
        if dropped := self._dropped(config):
            raise ServingError(Code.ABORTED, f"Another config was loaded before {dropped} became available")
        outcomes = monitor.outcomes(self._names(), self.since)
        if outcomes is None:
            raise ServingError(Code.UNKNOWN, f"0 {self.noun}(s) did not become available: {{}}")
        if error := unavailable(outcomes, self.noun):
            raise error

    def _names(self) -> set[str]:
        return {entry.name for entry in self.entries}

    def _dropped(self, config: Sequence[ModelEntry]) -> str:
        """Return the names of those models that a config asks for no more, or for other versions of."""
        present = {entry.name: entry for entry in config}
        return ", ".join(entry.name for entry in self.entries if not _is_asked_for(entry, present.get(entry.name)))


def _is_asked_for(entry: ModelEntry, present: ModelEntry | None) -> bool:
    """Tell whether a config may ask for a version that an entry for the same model asked for."""
    if present is None or present.base_path != entry.base_path:
        return False
    named = [set(each.policy.versions) for each in (present, entry) if each.policy.kind == "specific"]
    return present.policy == entry.policy or not named or bool(set.intersection(*named))
