"""The artifact that a person means by an id, a URI, a file, a version that was pushed, a step or a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from penstock.closest import closest
from penstock.errors import ConfigError
from penstock.metadata.named_output import output_of_run, output_of_step, read_from, step_names
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact
from penstock.paths import shown_path

_SERVED = re.compile(r"(?P<name>[\w.-]+)(?:/(?P<version>\d+))?")
_UNSAFE = frozenset("'\"\\\n")
_LABELLED = re.compile(r"([\w.-]+):([\w.-]+)")
_EXPECTED = (
    "a pushed version (digits/3, digits@stable), a model's name, an artifact's id, its URI, a file in it, "
    "a step's output (trainer.model), a run, or data that a run has read"
)


def find_artifact(reader: Reader, text: str) -> Artifact:
    """Return the artifact that a text names.

    Args:
        reader: The pipeline's part of the store.
        text: An id; a URI, or a path to or into an artifact or a pushed version; ``name/version``; a model's name,
            whose newest pushed version is meant; ``step.output`` or a step, whose newest is meant; a run, of which the
            version is meant that it pushed; or a path to data that a run has read. Labels are not known here: see what
            asks this function.

    Raises:
        ConfigError: There is no such artifact.
    """
    found = (
        _by_id(reader, text)
        or _served(reader, text)
        or output_of_step(reader, text)
        or output_of_run(reader, text)
        or _at_place(reader, text)
        or read_from(reader, tuple(_places(text)))
    )
    if found is not None:
        return found
    raise ConfigError(
        f"there is no artifact {text!r} in the metadata store",
        where=str(reader.location),
        received=text,
        expected=_EXPECTED,
        hint=_nearest(reader, text),
    )


def pushed(reader: Reader, name: str, version: int | None = None) -> Artifact | None:
    """Return the PushedModel of a version, of the newest when None; None where the store knows none."""
    if _UNSAFE & set(name):
        return None
    wanted = "" if version is None else f" AND custom_properties.pushed_version.string_value = '{version}'"
    query = f"type = 'PushedModel' AND custom_properties.model_name.string_value = '{name}'{wanted}"
    return _newest_of_ours(reader, reader.find(query))


def _by_id(reader: Reader, text: str) -> Artifact | None:
    if not text.isdecimal() or int(text) >= 1 << 63:
        return None
    return reader.artifacts([int(text)]).get(int(text))


def _served(reader: Reader, text: str) -> Artifact | None:
    match = _SERVED.fullmatch(text)
    if match is None:
        return None
    return pushed(reader, match["name"], int(match["version"]) if match["version"] else None)


def _at_place(reader: Reader, text: str) -> Artifact | None:
    for place in _places(text):
        found = reader.find_by_uri(place)
        if not found and not _UNSAFE & set(place):
            destination = f"custom_properties.pushed_destination.string_value = '{place}'"
            found = reader.find(f"type = 'PushedModel' AND {destination}")
        if found:
            return _newest_of_ours(reader, found)
    return None


def _places(text: str) -> Iterator[str]:
    """Yield the place that a text names and all above it."""
    if "://" in text:
        scheme, _, rest = text.rstrip("/").partition("://")
        path = PurePosixPath(rest)
        yield from (f"{scheme}://{part}" for part in (path, *path.parents) if str(part) != ".")
        return
    path = PurePosixPath(os.path.abspath(text))  # noqa: PTH100  A link stays as TFX wrote it.
    yield from map(str, (path, *path.parents[:-1]))
    real = Path(text).resolve()
    if str(real) != str(path):
        yield from map(str, (real, *real.parents[:-1]))


def _newest_of_ours(reader: Reader, artifacts: list[Artifact]) -> Artifact | None:
    """Return the newest that the pipeline made; a store of several pipelines may have more."""
    if not artifacts or reader.pipeline is None or reader.pipelines == (reader.pipeline,):
        return next(iter(artifacts), None)
    ours = reader.makers(artifact.id for artifact in artifacts)
    return next((artifact for artifact in artifacts if artifact.id in ours), None)


def _nearest(reader: Reader, text: str) -> str | None:
    """Return a hint with what the store has that comes closest."""
    if text.isdecimal():
        newest = reader.find("id > 0", 1)
        return f"ids go up to {newest[0].id}" if newest else None
    labelled = _LABELLED.fullmatch(text)
    if labelled:
        return f"a label stands behind an @: {labelled[1]}@{labelled[2]}"
    near = _nearest_name(reader, text) if _SERVED.fullmatch(text) else _nearest_uri(reader, text)
    return f"did you mean {near}?" if near else "penstock runs show latest lists the artifacts of a run"


def _nearest_name(reader: Reader, text: str) -> str | None:
    """Return the model, or of a text without a version also the step, whose name comes closest."""
    name, slash, _ = text.partition("/")
    newest: dict[str, str] = {}
    for artifact in reader.of_type("PushedModel"):
        if artifact.properties.get("pushed") == 1:
            newest[str(artifact.properties.get("model_name", ""))] = str(artifact.properties.get("pushed_version", ""))
    if slash:
        near = closest(name, newest)
        return f"{near}/{newest[near]}, the newest version" if near is not None else None
    return closest(text, newest) or closest(text.partition(".")[0], step_names(reader))


def _nearest_uri(reader: Reader, text: str) -> str | None:
    for place in list(_places(text))[1:]:
        beside = [] if _UNSAFE & set(place) else reader.find(f"uri LIKE '{place}/%'")
        if beside:
            near = closest(next(_places(text)), [artifact.uri for artifact in beside]) or beside[0].uri
            return near if "://" in near else shown_path(near)
    return None
