"""Moves a label in the safe order, so that at every moment it points to a version that answers.

The version is there and whole → it stands in the config → the server has it AVAILABLE → the label → what nobody asks
for any more leaves the config. What fails before the label has moved is taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penstock.closest import did_you_mean
from penstock.components.pusher.words import require_label
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem, PenstockError
from penstock.pipelines.models.entries import settled, with_label, with_version
from penstock.pipelines.models.find import Model
from penstock.pipelines.models.live import Live
from penstock.serving.errors import ServingError
from penstock.serving.label_history import read_moves, version_before
from penstock.serving.manifest import verify

DEFAULT_LABEL = "stable"
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
    if label in model.labels:
        return
    try:
        require_label(label)
    except ValueError as error:
        raise ConfigError(f"{label!r} is no label: {error}", expected="a name such as stable") from error
    if model.labels and not create:
        raise _no_label(model, label, "--create makes a new label")


def version_to_go_back_to(model: Model, label: str, to: int | None = None) -> int:
    """Return the version that a rollback of a label goes to.

    Args:
        model: The model.
        label: The label.
        to: The version that somebody chose.

    Raises:
        ConfigError: The model has no such label, or nothing is known of an earlier version.
    """
    if label not in model.labels:
        raise _no_label(model, label, "promote a version first")
    current = model.labels[label]
    before = version_before(model.config, model.name, label, current) if to is None else to
    if before is None:
        moves = [move for move in read_moves(model.config, model.name) if move.label == label]
        raise ConfigError(
            f"{label!r} of {model.name} has never pointed elsewhere than to version {current}"
            if moves
            else f"it is not known where {label!r} of {model.name} pointed before version {current}",
            received=None if moves else "no recorded move of it",
            hint=f"name the version: penstock models rollback {model.name} --to VERSION"
            + (f" --label {label}" if label != DEFAULT_LABEL else ""),
        )
    return before


def _no_label(model: Model, label: str, otherwise: str) -> ConfigError:
    return ConfigError(
        f"{model.name} has no label {label!r}",
        expected=f"one of {', '.join(model.labels)}" if model.labels else "a model with labels",
        hint=did_you_mean(label, model.labels) or otherwise,
    )


def move_label(live: Live, version: int, label: str, *, timeout: float, say: Say) -> Moved:
    """Point a label to a version; the caller keeps others from changing the config.

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
    model = live.model
    check_version(model, version)
    before = model.labels.get(label)
    try:
        live.check_server()
        with live.kept_on_failure():
            _steps(live, version, label, timeout, say)
    except (PenstockError, ServingError) as error:
        raise _not_moved(model, label, version, before, error) from error
    say(f"{label} → version {version}")
    problem = _settle(live) if live.client is not None else None
    return Moved(
        model.name, label, before, version, live.client is not None, tuple(live.entry.policy.versions), problem
    )


def _steps(live: Live, version: int, label: str, timeout: float, say: Say) -> None:
    if live.client is None:
        # Nobody says how far a server has come, so nothing but the end is written: right for one that starts later.
        live.change(lambda entry: settled(with_label(entry, label, version)))
        return
    present = live.model.versions()
    live.change(lambda entry: with_version(entry, version, present))
    say(f"waiting until the server at {live.client.address} has version {version}")
    live.client.wait_available(live.model.name, version, timeout)
    say(f"version {version} is AVAILABLE")
    live.change(lambda entry: with_label(entry, label, version))


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
    try:
        verify(present[version])
    except OSError as error:
        raise EnvironmentProblem(
            f"version {version} of {model.name} cannot be read: {error.strerror or error}",
            where=str(error.filename or present[version]),
            hint="check its owner and its permissions",
        ) from error


def _settle(live: Live) -> str | None:
    """Drop from the config what nobody asks for; a failure is told, as the label has moved by now."""
    try:
        live.change(settled)
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
