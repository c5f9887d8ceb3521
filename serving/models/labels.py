"""Where the labels of a config point, and which of them may not point there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry

Labels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Name of the model → label → version."""


class Placed(NamedTuple):
    """A label on a version of a model."""

    model: str
    label: str
    version: int

    def refusal(self) -> ServingError:
        """Return what TF Serving says of a label whose version is not available."""
        return ServingError(
            Code.FAILED_PRECONDITION,
            f"Request to assign label to version {self.version} of model {self.model}, which is not currently "
            "available for inference",
        )


def labels_of(entries: Iterable[ModelEntry]) -> dict[str, dict[str, int]]:
    """Return the labels of a config."""
    return {entry.name: dict(entry.labels) for entry in entries}


def labels_before(entries: Iterable[ModelEntry], present: Labels) -> dict[str, dict[str, int]]:
    """Return the labels that the models of a config have now."""
    return {entry.name: dict(present.get(entry.name, {})) for entry in entries}


def premature(
    entries: Iterable[ModelEntry], present: Labels, is_available: Callable[[str, int], bool], *, allow_new: bool
) -> Iterator[Placed]:
    """Yield the labels of a config whose versions are not available.

    Args:
        entries: The config.
        present: The labels as they are.
        is_available: Tells whether a version of a model answers.
        allow_new: Let labels be that are new: only those that move are held to it.
    """
    for entry in entries:
        for label, version in sorted(entry.labels.items()):
            stays_or_is_new = present.get(entry.name, {}).get(label, version) == version
            if not (allow_new and stays_or_is_new) and not is_available(entry.name, version):
                yield Placed(entry.name, label, version)
