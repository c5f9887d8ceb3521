"""Which version each label names after a push."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from penstock.components.pusher.config import LabelValue
from penstock.errors import ArtifactError


def placed(
    wanted: Mapping[str, LabelValue], began: Mapping[str, int], before: Mapping[str, int], version: int
) -> dict[str, int]:
    """Return where all labels are once a version is served.

    Args:
        wanted: Label → ``this``, ``latest``, ``keep`` or a version, as the config says.
        began: Label → version, as it was when the push began. What has moved on since to a newer version stays there.
        before: Label → version, as it is.
        version: The new version.
    """
    after = dict(before)
    for label, value in wanted.items():
        if isinstance(value, int):
            after[label] = value
        elif label not in before or (value != "keep" and not overtaken(label, began, before, version)):
            after[label] = version
    return dict(sorted(after.items()))


def overtaken(label: str, began: Mapping[str, int], before: Mapping[str, int], version: int) -> bool:
    """Whether a label has moved, since the push of ``version`` began, to a version that is newer."""
    return label in before and before[label] > version and before[label] != began.get(label)


def check_labels(wanted: Mapping[str, LabelValue], before: Mapping[str, int], present: Collection[int]) -> None:
    """Refuse what no server could do: a label on a version that is not there.

    Args:
        wanted: Label → value, as the config says.
        before: Label → version, as it is.
        present: The versions in the base path, and the number that the new one gets.

    Raises:
        ArtifactError: A label would name a version that is not there.
    """
    for label, value in wanted.items():
        version = before.get(label) if value == "keep" else value
        if isinstance(version, int) and version not in present:
            shown = ", ".join(map(str, sorted(present)[-10:]))
            raise ArtifactError(
                f"label {label!r} names version {version}, which is not there",
                received=f"{label}: {value}",
                expected=f"one of {shown}, `this`, or `keep`" if shown else "`this` or `keep`",
                hint=f"write {label}: this, or the number of a version that is there",
            )
