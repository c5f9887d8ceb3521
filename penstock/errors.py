"""The errors that a user can meet, one class a cause.

Every error says what is wrong, where, what was received, what was expected and what to do next. Errors cross process
boundaries (a step runs in a process of its own), so they turn into plain dictionaries and back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Frame:
    """One line of a user's traceback: file, line number, function and the source line."""

    file: str
    line: int
    function: str
    source: str


class PenstockError(Exception):
    """Base of all errors that are reported as one clear message, never as a traceback.

    Args:
        what: What is wrong, in one sentence.
        where: A ``file:line`` or a step's name.
        received: What was found.
        expected: What would have been right.
        hint: What to do next.
    """

    cause: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        received: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.received = received
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        details = [("received", self.received), ("expected", self.expected), ("next", self.hint)]
        return "\n".join([head, *(f"  {label}: {text}" for label, text in details if text)])

    def __reduce__(self) -> tuple[Any, ...]:
        return from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON-serializable data; :func:`from_dict` is its inverse."""
        keys = ("what", "where", "received", "expected", "hint")
        return {"cause": self.cause, **{key: getattr(self, key) for key in keys}}


class ConfigError(PenstockError):
    """The configuration is wrong; nothing was run. Exit code 2."""

    cause = "config"
    exit_code = 2


class ArtifactError(PenstockError):
    """Data or a model is not what the step needs: empty, damaged, of another shape."""

    cause = "artifact"


class EnvironmentProblem(PenstockError):  # noqa: N818  EnvironmentError is Python's own name for OSError.
    """The machine is at fault: no permission, no space, a missing or conflicting package."""

    cause = "environment"


class UserCodeError(PenstockError):
    """The user's own function raised, or returned something that it must not.

    Args:
        what: What is wrong, in one sentence.
        frames: The user's own frames, outermost first.
        **details: As for :class:`PenstockError`.
    """

    cause = "user code"

    def __init__(self, what: str, *, frames: tuple[Frame, ...] = (), **details: str | None) -> None:
        super().__init__(what, **details)
        self.frames = frames

    def __str__(self) -> str:
        lines = [f"  {f.file}:{f.line} in {f.function}\n    {f.source}" for f in self.frames]
        return "\n".join([super().__str__(), *(["  your code:"] if lines else []), *lines])

    def to_dict(self) -> dict[str, Any]:
        """Return the error, frames included, as JSON-serializable data."""
        return {**super().to_dict(), "frames": [asdict(frame) for frame in self.frames]}


_CLASSES: dict[str, type[PenstockError]] = {
    cls.cause: cls for cls in (PenstockError, ConfigError, ArtifactError, EnvironmentProblem, UserCodeError)
}


def from_dict(data: dict[str, Any]) -> PenstockError:
    """Rebuild an error from what :meth:`PenstockError.to_dict` returned."""
    details = {key: value for key, value in data.items() if key not in ("cause", "frames")}
    cls = _CLASSES[data["cause"]]
    if cls is UserCodeError:
        details["frames"] = tuple(Frame(**frame) for frame in data.get("frames", ()))
    return cls(**details)
