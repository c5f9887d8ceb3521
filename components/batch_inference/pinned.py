"""One model for a whole run: its files are hashed before it, and again by every worker that has loaded them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.components.batch_inference.places import Place, Url
from penstock.components.batch_inference.remote_files import below, download, open_url, read_url
from penstock.components.batch_inference.request import PinnedModel
from penstock.errors import ArtifactError
from penstock.serving.manifest import MANIFEST, Manifest, verify, walk

MODEL_FILE = "saved_model.pb"


def pin(model: Place, *, name: str = "", version: int | None = None) -> PinnedModel:
    """Return the model as it is now.

    Args:
        model: Folder of a SavedModel.
        name: Its name, where it has one.
        version: Its version, where it has one.

    Raises:
        ArtifactError: The folder holds no SavedModel, or a pushed one that has changed since.
        EnvironmentProblem: The store that it lies in cannot be read.
    """
    if isinstance(model, Url):
        return PinnedModel(str(model), _digest_behind(model), name, version)
    if not (model / MODEL_FILE).is_file():
        raise _no_model(model, there=model.is_dir())
    if (model / MANIFEST).is_file():
        verify(model)
    return PinnedModel(str(model.absolute()), _digest(model), name, version)


def require_same(model: PinnedModel, folder: Path) -> None:
    """Hash a model again that has just been loaded: one that was replaced meanwhile must score no row.

    Args:
        model: The model that the run began with.
        folder: What was loaded: its own folder, or a copy on this machine.

    Raises:
        ArtifactError: It is not the one that the run began with, or is gone.
    """
    found = _digest(folder) if folder.is_dir() else "no such folder"
    if found != model.digest:
        raise ArtifactError(
            "the model was replaced during the run; no row was scored with the new one",
            where=model.path,
            received=found,
            expected=f"digest {model.digest}",
            hint="run again: the new model then scores all rows",
        )


def fetch(url: str, folder: Path) -> None:
    """Copy a model into a folder.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    for name in below(url):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            download(f"{url}/{name}", stream)


@contextmanager
def described(model: Place) -> Iterator[Path]:
    """Give a folder of this machine with the file that tells the signatures; variables need not be there."""
    if isinstance(model, Path):
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="penstock-model-") as folder:
        content = read_url(f"{model}/{MODEL_FILE}")
        if content is None:
            raise _no_model(model, there=False)
        Path(folder, MODEL_FILE).write_bytes(content)
        yield Path(folder)


def _digest(model: Path) -> str:
    """Return the digest that a manifest of the folder would have: of a pushed model, that of its own manifest."""
    files: dict[str, tuple[int, str]] = {}
    for name, path in walk(model):
        if name != MANIFEST and path.is_file():
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                files[name] = stream.tell(), sha256
    return Manifest(files).digest


def _digest_behind(model: Url) -> str:
    """Return the digest of a model in a store; one that was pushed must be what its manifest says."""
    names = below(str(model))
    if MODEL_FILE not in names:
        raise _no_model(model, there=bool(names))
    files: dict[str, tuple[int, str]] = {}
    for name in names:
        if name != MANIFEST:
            with open_url(f"{model}/{name}") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
                files[name] = names[name].size, sha256
    found = Manifest(files)
    pushed = read_url(f"{model}/{MANIFEST}")
    if pushed is not None and pushed != found.to_bytes():
        raise ArtifactError(
            "the model is not what was pushed",
            where=str(model),
            received=f"files with the digest {found.digest}",
            expected=f"the files in {MANIFEST}, unchanged",
            hint="push the model again as a new version",
        )
    return found.digest


def _no_model(model: Place, *, there: bool) -> ArtifactError:
    return ArtifactError(
        "the folder holds no SavedModel" if there else "there is no such model",
        where=str(model),
        expected=f"a folder with {MODEL_FILE} and variables/",
    )
