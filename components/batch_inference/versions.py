"""Versions of a model in a base path, on this machine or behind a URL."""

from __future__ import annotations

from penstock.components.batch_inference.pinned import MODEL_FILE
from penstock.components.batch_inference.places import Place, Url
from penstock.components.batch_inference.remote_files import matching
from penstock.errors import ArtifactError
from penstock.serving.versions import index, versions


def is_saved_model(place: Place) -> bool:
    """Whether a folder holds a SavedModel itself.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    if isinstance(place, Url):
        return bool(matching(f"{place}/{MODEL_FILE}"))
    return (place / MODEL_FILE).is_file()


def complete_versions(base: Place) -> dict[int, Place]:
    """Return the versions in a base path that hold a SavedModel, the newest first.

    TFX's own Pusher, and ours in object stores, copy the files one by one: a version without ``saved_model.pb`` is none
    yet.

    Raises:
        ArtifactError: The base path cannot be read.
        EnvironmentProblem: The store cannot be read.
    """
    if isinstance(base, Url):
        urls = matching(f"{base}/*/{MODEL_FILE}")
        names = index(url.removeprefix(f"{base}/").partition("/")[0] for url in urls)
        return {number: base / names[number] for number in sorted(names, reverse=True)}
    try:
        found = sorted(versions(base).items(), reverse=True)
    except OSError as error:
        raise ArtifactError("the base path cannot be read", where=str(base), received=error.strerror) from error
    return {number: base / name for number, name in found if (base / name / MODEL_FILE).is_file()}


def newest_in(place: Place) -> Place:
    """Return the folder of the SavedModel that a place is, or of the newest version in it.

    Raises:
        ArtifactError: There is none.
        EnvironmentProblem: The store cannot be read.
    """
    there = isinstance(place, Url) or place.is_dir()
    if is_saved_model(place) or not there:
        return place  # What is not there is for those to say who open it.
    found = complete_versions(place)
    if not found:
        raise ArtifactError(
            "the folder holds no SavedModel",
            where=str(place),
            expected=f"a folder with {MODEL_FILE}, or with numbered folders that have one",
        )
    return found[max(found)]
