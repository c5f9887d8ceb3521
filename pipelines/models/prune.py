"""Removes old versions that nobody needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from penstock.components.pusher.retention import prune as remove
from penstock.components.pusher.retention import superfluous
from penstock.errors import ConfigError
from penstock.pipelines.models.find import Model
from penstock.pipelines.models.move import alone
from penstock.pipelines.models.tracking import digest_of
from penstock.serving.label_history import version_before
from penstock.serving.model_config import ModelsFile

_LOCK_SECONDS = 60.0


def prune(model: Model, keep: int, *, dry_run: bool) -> tuple[int, ...]:
    """Remove the versions that are not among the newest, and that no label, config or rollback needs.

    Args:
        model: The model.
        keep: Newest versions that stay, a count.
        dry_run: Remove nothing.

    Returns:
        The versions that were, or would be, removed.

    Raises:
        ConfigError: The base path is in an object store, or nothing is known of what is served from it.
    """
    if not model.local:
        raise ConfigError("versions in an object store cannot be pruned from here", where=model.base)
    if model.entry is None:
        raise ConfigError(
            f"which versions of {model.name} are served is not known here, so none is removed",
            where=model.base,
            received=f"no entry in {model.config}",
            expected="a models.config that Penstock generated, beside the base path or named by the pipeline",
            hint="name the pipeline's file or the config: --in FILE",
        )
    with alone(model.config, _LOCK_SECONDS):
        return _prune(_as_it_is(model), keep, dry_run=dry_run)


def _as_it_is(model: Model) -> Model:
    """Read the entry again: a promotion may have changed it while it held the lock."""
    entry = next((entry for entry in ModelsFile(model.config).read() if entry.name == model.name), model.entry)
    return replace(model, entry=entry)


def _prune(model: Model, keep: int, *, dry_run: bool) -> tuple[int, ...]:
    needed = {*model.labels.values(), *model.served(), *_ways_back(model)}
    if not dry_run:
        return remove(Path(model.base), keep, needed)
    present = model.versions()
    return tuple(number for number in superfluous(present, keep, needed) if digest_of(present[number]) is not None)


def _ways_back(model: Model) -> set[int]:
    """Return the versions that a rollback of each label would go to."""
    found = (version_before(model.config, model.name, label, now) for label, now in model.labels.items())
    return {version for version in found if version is not None}
