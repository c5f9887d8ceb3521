"""One model for a whole run: its files are hashed before it, and again by every worker that has loaded them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from penstock.components.batch_inference.request import PinnedModel
from penstock.errors import ArtifactError
from penstock.serving.manifest import MANIFEST, Manifest, verify, walk


def pin(model: Path, *, name: str = "", version: int | None = None) -> PinnedModel:
    """Return the model as it is now.

    Args:
        model: Folder of a SavedModel.
        name: Its name, where it has one.
        version: Its version, where it has one.

    Raises:
        ArtifactError: The folder holds no SavedModel, or a pushed one that has changed since.
    """
    if not (model / "saved_model.pb").is_file():
        raise ArtifactError(
            "the folder holds no SavedModel" if model.is_dir() else "there is no such model",
            where=str(model),
            expected="a folder with saved_model.pb and variables/",
        )
    if (model / MANIFEST).is_file():
        verify(model)
    return PinnedModel(str(model.absolute()), _digest(model), name, version)


def require_same(model: PinnedModel) -> None:
    """Hash a model again that has just been loaded: one that was replaced meanwhile must score no row.

    Raises:
        ArtifactError: It is not the one that the run began with, or is gone.
    """
    found = _digest(Path(model.path)) if Path(model.path).is_dir() else "no such folder"
    if found != model.digest:
        raise ArtifactError(
            "the model was replaced during the run; no row was scored with the new one",
            where=model.path,
            received=found,
            expected=f"digest {model.digest}",
            hint="run again: the new model then scores all rows",
        )


def _digest(model: Path) -> str:
    """Return the digest that a manifest of the folder would have: of a pushed model, that of its own manifest."""
    files: dict[str, tuple[int, str]] = {}
    for name, path in walk(model):
        if name != MANIFEST and path.is_file():
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                files[name] = stream.tell(), sha256
    return Manifest(files).digest
