"""Moves a label in the safe order, so that at every moment it points to a version that answers.

The version is there and whole → it stands in the config → the server has it AVAILABLE → the label → what nobody asks
for any more leaves the config. What fails before the label has moved is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import portalocker

from penstock.closest import did_you_mean
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem, PenstockError
from penstock.pipelines.models.entries import settled, with_label, with_version
from penstock.pipelines.models.find import Model
from penstock.pipelines.models.live import Live
from penstock.serving.errors import ServingError
from penstock.serving.label_history import read_moves, version_before
from penstock.serving.manifest import verify

Say = Callable[[str], None]


@dataclass(frozen=True)
class Moved:
    """A label that was moved.

    Attributes:
        model: The model's name.
        label: The label.
        before: The version that it pointed to; None when it is new.
        after: The version that it points to.
        served: Whether a server has confirmed it.
        remaining: The versions that the config asks for now.
        problem: Why versions that nobody asks for still stand in the config; None when all went well.
    """

    model: str
    label: str
    before: int | None
    after: int
    served: bool
    remaining: tuple[int, ...]
    problem: str | None = None


def check_label(model: Model, label: str, *, create: bool) -> None:
    """Refuse a label that the model does not have, unless it has none yet or the label is to be made.

    Raises:
        ConfigError: The label is not known, or is no name.
    """
    if not label or "/" in label or not label.isprintable():
        raise ConfigError(f"{label!r} is no label", expected="a name such as stable")
    if label not in model.labels and model.labels and not create:
        raise ConfigError(
            f"{model.name} has no label {label!r}",
            expected=f"one of {', '.join(model.labels)}",
            hint=did_you_mean(label, model.labels) or "--create makes a new label",
        )


def version_to_go_back_to(model: Model, label: str) -> int:
    """Return the version that a label pointed to before.

    Raises:
        ConfigError: The model has no such label, or nothing is known of an earlier version.
    """
    if label not in model.labels:
        raise ConfigError(
            f"{model.name} has no label {label!r}",
            expected=f"one of {', '.join(model.labels)}" if model.labels else "a model with labels",
            hint=did_you_mean(label, model.labels) or "promote a version first",
        )
    current = model.labels[label]
    before = version_before(model.config, model.name, label, current)
    if before is None:
        raise ConfigError(
            f"it is not known where {label!r} of {model.name} pointed before version {current}",
            received=f"{len(read_moves(model.config, model.name))} recorded moves",
            hint=f"name the version: penstock models rollback {model.name} --to VERSION",
        )
    return before


def move_label(live: Live, version: int, label: str, *, timeout: float, say: Say) -> Moved:
    """Point a label to a version.

    Args:
        live: The model where it is served.
        version: The version.
        label: The label.
        timeout: Seconds to wait until the version is AVAILABLE.
        say: Told each step, a line.

    Raises:
        ArtifactError: The version is not there, or is not what was pushed.
        EnvironmentProblem: The server could not take it; the label is where it was, and what served goes on serving.
    """
    with alone(live.model.config, timeout):
        return _move(live, version, label, timeout, say)


def _move(live: Live, version: int, label: str, timeout: float, say: Say) -> Moved:
    model = live.model
    present = model.versions()
    check_version(model, version)
    live.refresh()
    before = live.entry.labels.get(label)
    try:
        with live.kept_on_failure():
            live.change(lambda entry: with_version(entry, version, present))
            if live.client is not None:
                say(f"waiting until the server at {live.client.address} has version {version}")
                live.client.wait_available(model.name, version, timeout)
                say(f"version {version} is AVAILABLE")
            live.change(lambda entry: with_label(entry, label, version))
    except (PenstockError, ServingError) as error:
        raise _not_moved(model, label, version, before, error) from error
    say(f"{label} → version {version}")
    # Nobody has confirmed the new version where no server is known: the old one stays until the next move.
    kept = [before] if live.client is None and before is not None else []
    problem = _settle(live, list(present), kept)
    return Moved(
        model.name, label, before, version, live.client is not None, tuple(live.entry.policy.versions), problem
    )


def check_version(model: Model, version: int) -> None:
    """Check that a version is in the base path, exactly as it was pushed; an object store's cannot be looked at.

    Raises:
        ArtifactError: It is not there, or has changed.
        ConfigError: It is in an object store, and the config does not name what is served.
    """
    if not model.local:
        if model.entry is None or model.entry.policy.kind == "latest":
            raise ConfigError(
                f"which versions of {model.name} are served cannot be known from here",
                where=model.base,
                received="an object store, and a config that asks for the latest",
                expected="a config that names the versions",
                hint="push with `labels`; then the Pusher names them",
            )
        return
    present = model.versions()
    if version not in present:
        raise ArtifactError(
            f"version {version} of {model.name} is not there",
            where=model.base,
            expected=f"one of {', '.join(map(str, present))}" if present else "a pushed version",
        )
    verify(present[version])


@contextmanager
def alone(config: Path, timeout: float) -> Iterator[None]:
    """Keep pushes, promotions and rollbacks apart: two at once would each undo what the other waits for."""
    # The Pusher holds the same lock.
    lock = config.with_name(f".{config.name}.push-lock")
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        with portalocker.Lock(lock, "a", timeout=timeout):
            yield
    except portalocker.LockException as error:
        raise EnvironmentProblem(
            f"a push, a promotion or a rollback has been changing the config for {timeout:g} s",
            where=str(config),
            hint="run the command again when it has ended",
        ) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"the config's folder cannot be written: {error.strerror or error}", where=str(config.parent)
        ) from error


def _settle(live: Live, present: list[int], kept: list[int]) -> str | None:
    """Drop from the config what nobody asks for; a failure is told, as the label has moved by now."""
    try:
        live.change(lambda entry: settled(entry, present, kept))
    except (PenstockError, ServingError) as error:
        return f"the label has moved, but versions that nobody asks for still stand in the config: {error}"
    return None


def _not_moved(model: Model, label: str, version: int, before: int | None, error: Exception) -> EnvironmentProblem:
    told = error.what if isinstance(error, PenstockError) else f"the server answered {error}"
    still = f"{label!r} still points to version {before}" if before is not None else f"there is no label {label!r} yet"
    return EnvironmentProblem(
        f"{label!r} of {model.name} was not moved to version {version}: {told}",
        where=error.where if isinstance(error, PenstockError) else str(model.config),
        received=error.received if isinstance(error, PenstockError) else None,
        expected=error.expected if isinstance(error, PenstockError) else None,
        hint=f"{still}, and what was served is served on"
        + (f"; {error.hint}" if isinstance(error, PenstockError) and error.hint else ""),
    )
