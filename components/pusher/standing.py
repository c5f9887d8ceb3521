"""What a models.config asks of a server, as versions: what stands in it must stay in the base path."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from penstock.components.pusher.words import is_url
from penstock.serving.label_history import version_before
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.places import config_of, default_config, is_generated


def labels_of(entry: ModelEntry | None) -> Mapping[str, int]:
    """Return the labels of an entry, none where there is no entry."""
    return entry.labels if entry is not None else {}


def serving_also(entry: ModelEntry, also: Collection[int]) -> ModelEntry:
    """Return the entry with more versions; one that serves whatever is newest stays as it is."""
    if entry.policy.kind != "specific":
        return entry
    versions = tuple(sorted({*entry.policy.versions, *also}))
    return replace(entry, policy=VersionPolicy("specific", versions=versions))


def asked_for(entry: ModelEntry, present: Collection[int]) -> set[int]:
    """Return the versions, of those that are present, that an entry asks a server for."""
    match entry.policy.kind:
        case "specific":
            return set(entry.policy.versions) & set(present)
        case "all":
            return set(present)
        case _:
            return set(sorted(present)[-entry.policy.count :])


def configs_of(base: str, config: Path | None) -> list[Path]:
    """Return the models.config files that may name versions of a base path, those of other steps and commands too.

    Args:
        base: The base path.
        config: The one that is known of it.

    Raises:
        EnvironmentProblem: The pointer in the base path cannot be read.
    """
    known = [] if config is None else [config]
    found = [] if is_url(base) else [config_of(Path(base)), default_config(Path(base))]
    return list(dict.fromkeys([*known, *(file for file in found if is_generated(file))]))


def standing(base: str, configs: Collection[Path], present: Collection[int]) -> set[int]:
    """Return the versions of a base path that configs name, and those that a rollback of a label would go to.

    Raises:
        ConfigError: A config is malformed.
        EnvironmentProblem: One, or its history, cannot be read.
    """
    found: set[int] = set()
    for config in configs:
        for entry in ModelsFile(config).read():
            if entry.base_path.rstrip("/") == base.rstrip("/"):
                back = (version_before(config, entry.name, label, now) for label, now in entry.labels.items())
                found |= {*asked_for(entry, present), *entry.labels.values()}
                found |= {version for version in back if version is not None}
    return found
