"""Which models there are: in ``models.config`` files that we generate, and in base paths that the Pusher filled."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.closest import did_you_mean
from penstock.components.pusher import standing
from penstock.components.pusher.flatbuffers import modes_of
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.metadata.server import Location
from penstock.serving.manifest import MANIFEST
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.places import CONFIG_NAME, config_of, is_generated
from penstock.serving.versions import version_number, versions

_DEPTH = 4
_SKIPPED = frozenset({"node_modules", "__pycache__", "logs"})
_PIPELINE_FILES = (".yaml", ".yml")


@dataclass(frozen=True)
class Model:
    """One model of a project.

    Attributes:
        name: The name that callers use.
        base: Its base path, as the server reads it: an absolute path, or a URL.
        config: The ``models.config`` that it stands in, or would stand in; absolute.
        entry: What that file says of it; None when it does not stand in there yet.
        store: Its pipeline's metadata store, where the pipeline's file told it.
        flatbuffers: Whether its versions are flatbuffers, which no model server reads.
        named: Whether somebody named its pipeline, its config or its base path; otherwise it was come across.
    """

    name: str
    base: str
    config: Path
    entry: ModelEntry | None = None
    store: Location | None = None
    flatbuffers: bool = False
    named: bool = False

    @property
    def labels(self) -> dict[str, int]:
        """Label → version."""
        return dict(self.entry.labels) if self.entry else {}

    @property
    def local(self) -> bool:
        """Whether the base path is a folder of this machine."""
        return "://" not in self.base

    def versions(self) -> dict[int, Path]:
        """Return the versions in the base path, newest first; none where the folder is not there, or not here.

        Raises:
            EnvironmentProblem: The folder cannot be read.
        """
        if not self.local or not Path(self.base).exists():
            return {}
        try:
            found = versions(Path(self.base))
        except OSError as error:
            raise EnvironmentProblem(
                f"the versions of {self.name} cannot be listed: {error.strerror or error}", where=self.base
            ) from error
        return {number: Path(self.base, found[number]) for number in sorted(found, reverse=True)}

    def served(self) -> tuple[int, ...]:
        """Return the versions that the config asks a server for, ascending."""
        if self.entry is None:
            return ()
        return asked_for(self.entry, self.versions()) if self.local else self.entry.policy.versions


def asked_for(entry: ModelEntry, present: Iterable[int]) -> tuple[int, ...]:
    """Return the versions, of those that are there, that an entry asks a server for, ascending."""
    return tuple(sorted(standing.asked_for(entry, set(present))))


def find_models(where: Sequence[Path] = (), folder: Path | None = None) -> list[Model]:
    """Return the models of the places named, or of all below a folder, sorted by name.

    Args:
        where: Pipeline files, ``models.config`` files, base paths, or folders to search.
        folder: Searched when no place is named; the working directory when None.

    Raises:
        ConfigError: A place holds no model, a file is malformed, or a pipeline file is wrong.
    """
    places = where or [folder or Path.cwd()]
    found = {
        (model.name, model.config): replace(model, named=bool(where) and not _is_searched(place))
        for place in places
        for model in _at(place.absolute())
    }
    if where and not found:
        raise ConfigError(
            "no model was found",
            where=", ".join(map(str, where)),
            expected="a pipeline file with a Pusher, a models.config, or a base path with a pushed version",
        )
    return sorted(found.values(), key=lambda model: (model.name, str(model.config)))


def find_model(name: str, where: Sequence[Path] = ()) -> Model:
    """Return the one model of a name.

    Raises:
        ConfigError: There is none, or there are several.
    """
    models = find_models(where)
    named = [model for model in models if model.name == name]
    if not named:
        names = sorted({model.name for model in models})
        raise ConfigError(
            f"there is no model {name!r}",
            expected=f"one of {', '.join(names)}" if names else "a pushed model below this folder",
            hint=did_you_mean(name, names) or "'penstock models list' shows what there is; --in FILE looks elsewhere",
        )
    if len(named) > 1:
        raise ConfigError(
            f"there are several models {name!r}",
            received=", ".join(str(model.config) for model in named),
            hint=f"name one: --in {named[0].config}",
        )
    return named[0]


def refreshed(model: Model) -> Model:
    """Return the model as its config has it now: somebody else may have changed it."""
    return replace(model, entry=_entry_of(model.config, model.name) if is_generated(model.config) else model.entry)


def require_config(model: Model) -> None:
    """Refuse to change a model that stands in no config that is known: another one may serve its versions.

    Raises:
        ConfigError: It stands in none, and nobody named the place.
    """
    if model.entry is None and not model.named:
        raise ConfigError(
            f"which versions of {model.name} are served is not known here, so nothing is changed",
            where=model.base,
            received=f"no entry in {model.config}",
            expected="a models.config that Penstock generated, beside the base path or named by the pipeline",
            hint=f"name the pipeline's file or the config: --in FILE; if nothing serves it yet, --in {model.base}",
        )


def require_servable(model: Model) -> None:
    """Refuse what needs a model server, for a model that none reads.

    Raises:
        ConfigError: Its versions are flatbuffers.
    """
    if model.flatbuffers:
        raise ConfigError(
            f"no model server reads {model.name}: its versions are flatbuffers",
            where=model.base,
            expected="a model that was pushed as a SavedModel",
            hint=f"an interpreter loads {model.base}/VERSION/MODE/model.tflite",
        )


def with_neighbours(models: Sequence[Model]) -> list[Model]:
    """Return the models and all that stand in their configs with them: a server takes a config as a whole."""
    known = {(model.name, model.config) for model in models}
    configs = dict.fromkeys(model.config for model in models if model.entry is not None)
    beside = (model for config in configs for model in _of_config(config))
    return [*models, *(model for model in beside if (model.name, model.config) not in known)]


def _is_searched(place: Path) -> bool:
    return place.is_dir() and not _is_base_path(place)


def _at(place: Path) -> Iterator[Model]:
    if place.suffix in _PIPELINE_FILES:
        yield from _of_pipeline(place)
    elif place.is_file():
        yield from _of_config(place)
    elif place.is_dir() and _is_base_path(place):
        yield _of_base_path(place)
    elif place.is_dir():
        yield from _below(place)
    else:
        raise ConfigError("there is no such file or folder", where=str(place))


def _of_pipeline(file: Path) -> Iterator[Model]:
    """Yield what the Pushers of a pipeline file push."""
    from penstock.components.pusher.config import PusherConfig
    from penstock.pipelines.resolve import check

    loaded, graph = check(file)
    store = None if "://" in loaded.sqlite else loaded.location
    for step in graph.steps.values():
        if isinstance(step.config, PusherConfig):
            base = step.config.destination.base
            known = step.config.config_file
            config = known or config_of(Path(base))
            entry = _entry_of(config, step.config.name) if known or is_generated(config) else None
            yield Model(step.config.name, base, config, entry, store, step.config.destination.flatbuffers)


def _of_config(file: Path) -> Iterator[Model]:
    for entry in ModelsFile(file).read():
        yield Model(entry.name, entry.base_path, file, entry)


def _of_base_path(base: Path) -> Model:
    """Return the model of a base path, by the name that its config gives it, else by its own."""
    config = config_of(base)
    for entry in ModelsFile(config).read() if is_generated(config) else ():
        if entry.base_path == str(base):
            return Model(entry.name, str(base), config, entry)
    flatbuffers = any(modes_of(base / name) for name in versions(base).values())
    return Model(base.name, str(base), config, flatbuffers=flatbuffers)


def _below(top: Path) -> Iterator[Model]:
    covered: set[str] = set()
    bases: list[Path] = []
    for folder in _folders(top, bases):
        config = folder / CONFIG_NAME
        if is_generated(config):
            for model in _of_config(config):
                covered.add(model.base)
                yield model
    yield from (_of_base_path(base) for base in bases if str(base) not in covered)


def _folders(top: Path, bases: list[Path]) -> Iterator[Path]:
    """Yield the folders to look at; base paths are put into ``bases`` and not gone into."""
    for name, below, _ in os.walk(top):
        folder = Path(name)
        depth = len(folder.relative_to(top).parts)
        if depth and _is_base_path(folder):
            bases.append(folder)
            below.clear()
            continue
        yield folder
        kept = [child for child in below if not child.startswith(".") and child not in _SKIPPED]
        below[:] = sorted(kept) if depth < _DEPTH else []


def _is_base_path(folder: Path) -> bool:
    """Whether the folder holds a version that the Pusher published."""
    try:
        with os.scandir(folder) as children:
            return any(
                version_number(child.name) is not None and Path(child.path, MANIFEST).is_file() for child in children
            )
    except OSError:
        return False  # What cannot be looked into holds nothing that could be served from here.


def _entry_of(config: Path, name: str) -> ModelEntry | None:
    return next((entry for entry in ModelsFile(config).read() if entry.name == name), None)


def plain_entry(model: Model) -> ModelEntry:
    """Return the model's entry, or the one that it gets when it first stands in a config: the newest version."""
    return model.entry or ModelEntry(model.name, model.base, policy=VersionPolicy("latest", 1))
