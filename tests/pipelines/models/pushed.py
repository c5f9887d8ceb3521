"""Versions as the Pusher leaves them, without a pipeline and without TensorFlow."""

from __future__ import annotations

import hashlib
from pathlib import Path

from penstock.serving.manifest import MANIFEST, Manifest
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy


def push(base: Path, *versions: int) -> None:
    """Put versions into a base path."""
    for version in versions:
        content = f"model {version}".encode()
        folder = base / str(version)
        (folder / MANIFEST).parent.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(content)
        manifest = Manifest({"saved_model.pb": (len(content), hashlib.sha256(content).hexdigest())})
        (folder / MANIFEST).write_bytes(manifest.to_bytes())


def configure(base: Path, *versions: int, config: Path | None = None, **labels: int) -> Path:
    """Put a model into the config beside its base path; return the config."""
    config = config or base.parent / "models.config"
    policy = VersionPolicy("specific", versions=versions) if versions else VersionPolicy()
    entry = ModelEntry(base.name, str(base), policy=policy, labels=labels)
    ModelsFile(config).update(lambda entries: (*[one for one in entries if one.name != base.name], entry))
    return config


def bring_parameters(base: Path, version: int) -> None:
    """Put parameters of batching into a version."""
    (base / str(version) / "batching_params.pbtxt").write_text("max_batch_size { value: 8 }")
