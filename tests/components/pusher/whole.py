"""A push with all that a push can have, and what must be true of its destination at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.components.pusher.entry import Entry
from penstock.serving.manifest import verify
from penstock.serving.versions import versions


def config_file(base: Path) -> Path:
    """Return where the pushes of :func:`push_config` keep their ``models.config``."""
    return base.parent.parent / "deploy" / "tf.config"


def push_config(base: Path) -> dict[str, Any]:
    """Return parameters that make a push pass as many points as it can."""
    return {
        # Elsewhere, so that the base path gets a pointer too.
        "destination": {"directory": str(base), "config": str(config_file(base))},
        "labels": {"stable": "keep", "canary": "this"},
        "batching": {"max_batch_size": 8},
        "keep_versions": 2,
    }


def require_whole(base: Path) -> None:
    """Fail unless every version is whole, and the config serves what is there."""
    for name in versions(base).values():
        verify(base / name)
    entry = Entry("digits", str(base), config_file(base)).read()
    assert entry is not None
    assert set(entry.labels.values()) <= set(entry.policy.versions) <= set(versions(base))
