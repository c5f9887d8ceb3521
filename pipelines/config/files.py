"""Configuration files: reading the text, laying a file on those that it extends."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from pathlib import Path

from penstock.closest import did_you_mean
from penstock.pipelines.config.limits import MAX_BYTES, MAX_DEPTH
from penstock.pipelines.config.marks import Mark, Source, shown_path
from penstock.pipelines.config.parse import SyntaxProblemError, parse
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.tree import Node, merge
from penstock.pipelines.config.words import described

_UNUSABLE = re.compile(r"\$\{|\0")
_PROJECT_SIGNS = ("pyproject.toml", "setup.py", ".git")


def project_of(file: Path) -> Path:
    """Return the nearest folder at or above the file's with pyproject.toml, setup.py or .git, else its own."""
    return next((f for f in file.parents if any((f / sign).exists() for sign in _PROJECT_SIGNS)), file.parent)


class FileReader:
    """Reads one configuration file with all that it extends.

    Attributes:
        problems: What was found wrong so far, in every file.
        incomplete: Whether some file could not be read, so that nothing can be said about missing keys.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.incomplete = False
        self._done: dict[str, Node | None] = {}
        self._open: list[Path] = []

    def read(self, file: Path, named_at: Mark | None = None, path: tuple[str | int, ...] = ()) -> Node | None:
        """Return the merged tree of a file; None when it cannot be read, with the reason in ``problems``.

        Args:
            file: The file.
            named_at: The place that names the file, for a file that is extended.
            path: The path of that place.
        """
        identity = os.path.realpath(file)
        if identity not in self._done:
            try:
                self._done[identity] = self._read(file)
            except SyntaxProblemError as error:
                self.incomplete = True
                # Marks inside the file say more than the place that names it.
                problem = error.problem
                self.problems.append(problem if problem.mark else replace(problem, mark=named_at, path=path))
                self._done[identity] = None
        return self._done[identity]

    def _read(self, file: Path) -> Node | None:
        source = Source(shown_path(file), _text(file))
        tree, problems = parse(source)
        self.problems += problems
        if tree.value is None and not tree.damaged:
            hint = "write 'pipeline', 'root' and 'steps'; `penstock init` makes an example"
            raise SyntaxProblemError(Problem("the file is empty", (), source.mark(0, 0), hint=hint))
        if not isinstance(tree.value, dict):
            if tree.damaged:
                self.incomplete = True
                return None
            received = described(tree.value)
            message = f"the top level must be a mapping, received {received}"
            raise SyntaxProblemError(Problem(message, (), tree.mark, received, "a mapping"))
        self._open.append(file)
        tree = self._extended(tree, file)
        self._open.pop()
        return tree

    def _extended(self, tree: Node, file: Path) -> Node:
        base: Node | None = None
        for name, node, path in self._names(tree):
            lower = self._base(file.parent / name, node, path)
            if lower is not None:
                base = lower if base is None else merge(base, lower)
        if base is None:
            return tree
        inherited = {key: child for key, child in base.value.items() if key != "extends"}
        return merge(replace(base, value=inherited), tree)

    def _names(self, tree: Node) -> list[tuple[str, Node, tuple[str | int, ...]]]:
        """Return the files that ``extends`` names, each with its place."""
        extends = tree.value.get("extends")
        if extends is None or extends.damaged:
            return []
        is_list = isinstance(extends.value, list)
        items = list(enumerate(extends.value)) if is_list else [(0, extends)]
        named: list[tuple[str, Node, tuple[str | int, ...]]] = []
        for index, node in items:
            path = ("extends", index) if is_list else ("extends",)
            if isinstance(node.value, str) and node.value and not _UNUSABLE.search(node.value):
                named.append((node.value, node, path))
            elif not node.damaged:
                self._refuse_name(node, path)
        return named

    def _refuse_name(self, node: Node, path: tuple[str | int, ...]) -> None:
        self.incomplete = True
        received = described(node.value)
        hint = "names are replaced after the files are merged" if "${" in str(node.value) else None
        message = f"'extends' must name a file or a list of files, received {received}"
        self.problems.append(Problem(message, path, node.mark, received, "a file, relative to this one", hint))

    def _base(self, file: Path, node: Node, path: tuple[str | int, ...]) -> Node | None:
        file = Path(os.path.abspath(file))  # noqa: PTH100 - keeps links as the user wrote them
        chain = [os.path.realpath(opened) for opened in self._open]
        identity = os.path.realpath(file)
        message = None
        if identity in chain:
            cycle = [*self._open[chain.index(identity) :], file]
            message = f"'extends' goes round in a circle: {' -> '.join(map(shown_path, cycle))}"
        elif len(chain) >= MAX_DEPTH:
            message = f"more than {MAX_DEPTH} files extend one another"
        if message is None:
            return self.read(file, node.mark, path)
        self.incomplete = True
        self.problems.append(Problem(message, path, node.mark, hint="remove one of the 'extends'"))
        return None


def _text(file: Path) -> str:
    """Return the file's text without a byte order mark.

    Raises:
        SyntaxProblemError: There is no such file, it cannot be read, is too large, or is not UTF-8.
    """
    name = shown_path(file)
    try:
        data = _bytes(file, name)
    except FileNotFoundError as error:
        raise SyntaxProblemError(_missing(file, name)) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint = "check the path and its permissions"
        raise SyntaxProblemError(Problem(f"{name} cannot be read: {reason}", hint=hint)) from error
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        source = Source(name, data.decode("utf-8", errors="replace"))
        place = source.mark_at(len(data[: error.start].decode("utf-8")))
        problem = Problem(f"not UTF-8 text: byte 0x{data[error.start]:02X}", (), place, hint="save the file as UTF-8")
        raise SyntaxProblemError(problem) from error


def _bytes(file: Path, name: str) -> bytes:
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        hint = "name the YAML file inside it"
        raise SyntaxProblemError(Problem(f"{name} is a directory, expected a YAML file", hint=hint))
    if not stat.S_ISREG(mode):
        raise SyntaxProblemError(Problem(f"{name} is no regular file, expected a YAML file"))
    with file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        hint = "a configuration names data, it does not hold it"
        raise SyntaxProblemError(Problem(f"{name} is larger than {MAX_BYTES:,} bytes", hint=hint))
    return data


def _missing(file: Path, name: str) -> Problem:
    folder = file.parent
    try:
        beside = [other.name for other in folder.iterdir() if other.suffix in (".yaml", ".yml")]
    except OSError:
        return Problem(f"there is no file {name}", hint=f"the folder {shown_path(folder)} cannot be listed either")
    return Problem(f"there is no file {name}", hint=did_you_mean(file.name, beside))
