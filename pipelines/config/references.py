"""``${…}`` in a text: splitting it into plain parts and references."""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.pipelines.config.words import quoted

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"\$\$\{|\$\{(?P<name>[^}]*)\}|\$\{")


@dataclass(frozen=True)
class Reference:
    """One ``${name}`` or ``${env.NAME:default}``.

    Args:
        written: The reference as it stands in the text.
        name: What it names, with dots.
        default: The text after the colon, None when there is none.
    """

    written: str
    name: str
    default: str | None

    @property
    def env(self) -> str | None:
        """The environment variable that is named, None for anything else."""
        return self.name.removeprefix("env.") if self.name.startswith("env.") else None


class ReferenceSyntaxError(ValueError):
    """A ``${`` that is no reference; ``written`` is the part in question."""

    def __init__(self, message: str, written: str, hint: str) -> None:
        super().__init__(message)
        self.written = written
        self.hint = hint


def split(text: str) -> list[str | Reference]:
    """Return the plain parts and the references of a text, in order; ``$${`` becomes a plain ``${``.

    Raises:
        ReferenceSyntaxError: A reference is not closed, holds another, names nothing or has a default in vain.
    """
    parts: list[str | Reference] = []
    end = 0
    for token in _TOKEN.finditer(text):
        parts += [text[end : token.start()]] if token.start() > end else []
        parts.append("${" if token[0] == "$${" else _reference(token[0], token["name"]))
        end = token.end()
    return [*parts, text[end:]] if end < len(text) else parts


def _reference(written: str, inner: str | None) -> Reference:
    if inner is None:
        raise ReferenceSyntaxError("'${' is not closed with '}'", written, "write '$${' for a literal '${'")
    if "${" in inner:
        raise ReferenceSyntaxError("a '${…}' cannot hold another", written, "use one of the 'vars' for the inner part")
    name, colon, default = inner.partition(":")
    name = name.strip()
    if colon and not name.startswith("env."):
        hint = "defaults are for environment variables: '${env.NAME:default}'"
        raise ReferenceSyntaxError(f"'${{{name}}}' takes no default", written, hint)
    if not name:
        raise ReferenceSyntaxError("'${}' names nothing", written, "write '$${' for a literal '${'")
    if name.startswith("env.") and not _ENV_NAME.fullmatch(name.removeprefix("env.")):
        hint = "write '${env.NAME}' or '${env.NAME:default}'"
        raise ReferenceSyntaxError(f"{quoted(written)} names no environment variable", written, hint)
    return Reference(written, name, default if colon else None)
