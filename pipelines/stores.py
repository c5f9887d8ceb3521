"""The metadata stores that a person means by a pipeline's file, a root or a store; those below here if by nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.metadata.reader import Reader
from penstock.metadata.server import Location
from penstock.paths import shown_path

STORE_NAME = "metadata.sqlite"
PATTERNS = (STORE_NAME, f"*/{STORE_NAME}", f"*/*/{STORE_NAME}")
_PIPELINE_FILES = (".yaml", ".yml")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Place:
    """A store, and the pipeline in it that is meant; None: all that are in it."""

    store: Location
    pipeline: str | None = None


def places(where: Sequence[Path] = ()) -> list[Place]:
    """Return the stores of the places named, or those below the working directory.

    Args:
        where: Pipeline files, roots, or stores.

    Raises:
        ConfigError: A place is not there or holds no store, or a pipeline file is wrong.
    """
    found = dict.fromkeys(place for one in (where or [Path.cwd()]) for place in _at(one))
    if not found:
        raise ConfigError(
            "no metadata store was found",
            where=", ".join(map(shown_path, where)) or str(Path.cwd()),
            expected=f"a pipeline's file, its root, or a {STORE_NAME}",
            hint="name one: --in FILE, which finds one on a server too; a pipeline that has not run has no store yet",
        )
    return list(found)


def shown_store(store: Location) -> str:
    """Return where a store is, as a person reads it."""
    return shown_path(store) if isinstance(store, Path) else str(store)


def readers(where: Sequence[Path] = (), pipeline: str | None = None) -> list[Reader]:
    """Open the stores: one reader a pipeline.

    Args:
        where: As for :func:`places`.
        pipeline: Only this one.

    Raises:
        ConfigError: There is no such store or pipeline.
        EnvironmentProblem: A store cannot be read.
    """
    opened = [(place, Reader(place.store)) for place in places(where)]
    known = [(place.store, name) for place, reader in opened for name in _pipelines(place, reader)]
    chosen = [(store, name) for store, name in known if pipeline in (None, name)]
    if pipeline is not None and not chosen:
        names = sorted({name for _, name in known})
        raise ConfigError(
            f"there is no pipeline {pipeline!r}",
            where=", ".join(shown_store(place.store) for place, _ in opened),
            received=pipeline,
            expected=f"one of {', '.join(names)}" if names else "a store in which a pipeline has run",
            hint=did_you_mean(pipeline, names),
        )
    return [Reader(store, name) for store, name in chosen]


def ask_all(found: Sequence[Reader], ask: Callable[[Reader], _Answer], what: str) -> tuple[Reader, _Answer]:
    """Ask the pipelines a question that one of them can answer.

    Args:
        found: The pipelines.
        ask: The question; raises ConfigError where a pipeline has no answer.
        what: What is asked for, as the subject of a sentence.

    Raises:
        ConfigError: None can, or several can.
    """
    answers: list[tuple[Reader, _Answer]] = []
    errors: list[ConfigError] = []
    for reader in found:
        try:
            answers.append((reader, ask(reader)))
        except ConfigError as error:
            errors.append(error)
    if len(answers) > 1:
        told = ", ".join(f"{reader.pipeline} in {shown_store(reader.location)}" for reader, _ in answers)
        raise ConfigError(
            f"{what} is known to several pipelines", received=told, hint="name one with --in FILE, or with --pipeline"
        )
    if answers:
        return answers[0]
    if not errors:
        raise ConfigError("no pipeline has run yet", hint="penstock run FILE")
    raise _joint(errors, found)


def _joint(errors: Sequence[ConfigError], found: Sequence[Reader]) -> ConfigError:
    """Return the one error, or one for all, with the hint of that which is nearest."""
    first = next((error for error in errors if error.hint and error.hint.startswith("did you mean")), errors[0])
    if len(errors) == 1:
        return first
    where = ", ".join(dict.fromkeys(shown_store(reader.location) for reader in found))
    return ConfigError(first.what, where=where, received=first.received, expected=first.expected, hint=first.hint)


def _pipelines(place: Place, reader: Reader) -> tuple[str, ...]:
    return reader.pipelines if place.pipeline is None else (place.pipeline,)


def _at(place: Path) -> Iterator[Place]:
    if place.suffix in _PIPELINE_FILES:
        from penstock.pipelines.config import load

        loaded = load(place)
        yield Place(loaded.location, loaded.config.pipeline)
    elif place.is_dir():
        found = (file for pattern in PATTERNS for file in sorted(place.absolute().glob(pattern)))
        yield from (Place(file) for file in found if file.is_file())
    elif place.is_file():
        yield Place(place.absolute())
    else:
        raise ConfigError(
            "there is no such file or folder",
            where=shown_path(place),
            expected=f"a pipeline's file, its root, or a {STORE_NAME}",
            hint="name one with --in; without it, those below the working directory are asked",
        )
