"""Removes old versions that nobody needs."""

from __future__ import annotations

from pathlib import Path

from penstock.components.pusher.retention import prune as remove
from penstock.components.pusher.retention import superfluous
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.models.find import Model, refreshed, require_config
from penstock.pipelines.models.show import available_versions
from penstock.pipelines.models.tracking import digest_of
from penstock.serving.label_history import version_before
from penstock.serving.places import changing

_LOCK_SECONDS = 60.0


def prune(model: Model, keep: int, *, dry_run: bool) -> tuple[int, ...]:
    """Remove the versions that are not among the newest, and that no label, config, server or rollback needs.

    Args:
        model: The model.
        keep: Newest versions that stay, a count.
        dry_run: Remove nothing.

    Returns:
        The versions that were, or would be, removed.

    Raises:
        ConfigError: The base path is in an object store, or nothing is known of what is served from it.
        EnvironmentProblem: The base path is not there, or the server that runs with the config does not answer.
        ServingError: That server cannot say what it serves.
    """
    if not model.local:
        raise ConfigError("versions in an object store cannot be pruned from here", where=model.base)
    if not model.flatbuffers:
        require_config(model)
    if not Path(model.base).is_dir():
        raise EnvironmentProblem(
            f"the base path of {model.name} is not there", where=model.base, expected="a folder with versions"
        )
    if dry_run:
        present = model.versions()
        unneeded = superfluous(present, keep, _needed(model))
        return tuple(number for number in unneeded if digest_of(present[number]) is not None)
    # A promotion in between could name a version that is about to go.
    with changing(model.config, _LOCK_SECONDS):
        return remove(Path(model.base), keep, _needed(refreshed(model)))


def _needed(model: Model) -> set[int]:
    if model.flatbuffers:  # Devices that fetched a version have it.
        return set()
    return {*model.labels.values(), *model.served(), *_ways_back(model), *available_versions(model)}


def _ways_back(model: Model) -> set[int]:
    """Return the versions that a rollback of each label would go to."""
    found = (version_before(model.config, model.name, label, now) for label, now in model.labels.items())
    return {version for version in found if version is not None}
