"""The one model that a person means by a folder, ``digits@stable``, ``digits/3`` or ``digits``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.pipelines.models.find import Model, find_model
from penstock.serving.versions import versions

_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Chosen:
    """A SavedModel.

    Attributes:
        path: Its folder.
        name: The model's name; of a folder that somebody named, empty.
        version: Its version, where it has one.
        told: What was chosen, in words.
    """

    path: Path
    name: str
    version: int | None
    told: str


def choose_model(text: str, where: Sequence[Path] = ()) -> Chosen:
    """Return the model that a text names.

    Args:
        text: The folder of a SavedModel or of its versions, whose newest counts; or a pushed model: ``name@label``,
            ``name/version``, or ``name``, whose newest version counts.
        where: Where to look for pushed models; below the working directory if empty.

    Raises:
        ConfigError: There is no such model, label or version, or it is not on this machine.
    """
    folder = Path(text)
    if folder.is_dir():
        return _in_folder(folder)
    name, at, label = text.partition("@")
    name, slash, number = (name, "", "") if at else text.partition("/")
    if "/" in number or (slash and not number.isdecimal()) or not name:
        raise ConfigError(
            f"there is no model {text!r}",
            received="no such folder, and no name either",
            expected="the folder of a SavedModel, NAME@LABEL, NAME/VERSION or NAME",
        )
    model = find_model(name, where)
    if not model.local:
        raise ConfigError(f"{name} is not on this machine", where=model.base, hint="copy the version here and name it")
    present = model.versions()
    version = labelled_version(model, label) if at else int(number) if slash else next(iter(present), None)
    if version is None or version not in present:
        raise ConfigError(
            f"version {version} of {name} is not there" if version else f"{name} has no version",
            where=model.base,
            expected=f"one of {', '.join(map(str, present))}" if present else "a pushed version",
        )
    how = f", which {label!r} names" if at else "" if slash else ", the newest"
    return Chosen(present[version], name, version, f"version {version} of {name}{how}")


def labelled_version(model: Model, label: str) -> int:
    """Return the version that a label points to.

    Raises:
        ConfigError: The model has no such label.
    """
    if label not in model.labels:
        raise ConfigError(
            f"{model.name} has no label {label!r}",
            where=str(model.config),
            received=label,
            expected=f"one of {', '.join(model.labels)}" if model.labels else "a model with labels",
            hint=did_you_mean(label, model.labels),
        )
    return model.labels[label]


def _in_folder(folder: Path) -> Chosen:
    if (folder / _SAVED_MODEL).is_file():
        return Chosen(folder, "", None, str(folder))
    found = {number: folder / name for number, name in versions(folder).items()}
    if not found:
        raise ConfigError(
            "the folder holds neither a SavedModel nor versions of one",
            where=str(folder),
            expected=f"{_SAVED_MODEL}, or folders with numbers as names",
        )
    newest = max(found)
    return Chosen(found[newest], folder.absolute().name, newest, f"version {newest} in {folder}, the newest")
