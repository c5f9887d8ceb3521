"""The border between our code and the user's: what fails on their side is told as theirs, with their own lines."""

from __future__ import annotations

import importlib
import re
import sysconfig
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock.closest import did_you_mean
from penstock.errors import Frame, PenstockError, UserCodeError

_MESSAGE_LIMIT = 2000
_AUTOGRAPH = "__autograph_generated_file"
"""TensorFlow writes what it makes of a function to files of this name; they may hold our code."""
_QUOTED_TRACEBACK = re.compile(r"Traceback \(most recent call last\):|in user code:")
_QUOTED_FRAME = re.compile(r'^ *File "([^"\n]+)", line (\d+), in (\S+).*\n *(.*)', re.MULTILINE)
_STAGED = re.compile(r"in user code:\n\n.*?\n\n( +\S.*)", re.DOTALL)
_IN_A_LAYER = re.compile(
    r"Exception encountered when calling ([^\n]+?)\.?\n\n(.*?)\s*\n(?:Call a|A)rguments received by .*", re.DOTALL
)
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def import_function(path: str) -> Callable[..., Any]:
    """Import the function that a dotted path names.

    Args:
        path: ``package.module.function``; the module must be importable as Python runs now.

    Raises:
        UserCodeError: The module or the function is not there, the module fails when it is imported, or what the path
            names is not callable.
    """
    module_name, _, attribute = path.rpartition(".")
    if not module_name:
        raise UserCodeError(f"{path!r} is no import path", received=path, expected="package.module.function")
    module = _import_module(module_name, path)
    if not hasattr(module, attribute):
        names = [name for name in vars(module) if not name.startswith("_")]
        raise UserCodeError(
            f"module {module_name!r} has no attribute {attribute!r}",
            where=module.__file__,
            received=path,
            expected=f"one of {', '.join(sorted(names))}" if names else "a module that defines it",
            hint=did_you_mean(attribute, names),
        )
    function = getattr(module, attribute)
    if not callable(function):
        raise UserCodeError(
            f"{path!r} is not callable",
            where=module.__file__,
            received=f"{type(function).__name__} {function!r}",
            expected="a function",
        )
    return function  # type: ignore[no-any-return]


@contextmanager
def user_code_boundary(description: str, *, where: str | None = None) -> Iterator[None]:
    """Turn any exception raised inside the block into a UserCodeError that shows the user's own frames.

    Args:
        description: What is running, as the subject of a sentence, e.g. ``model_fn 'wine.model.build'``.
        where: The step or file to report, when known.

    Raises:
        UserCodeError: The block raised; type and message of the exception are in ``what``. Errors that are already
            Penstock's pass unchanged.
    """
    try:
        yield
    except PenstockError:
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeError(
            f"{description} raised {describe_exception(error)}", where=where, frames=user_frames(error)
        ) from error


def describe_exception(error: BaseException) -> str:
    """Return ``Type: message`` without what Keras and TensorFlow wrap around it, shortened when they quote pages."""
    message = _COLORS.sub("", str(error)).strip()
    told = _unwrapped(type(error).__name__, message)
    return f"{told[:_MESSAGE_LIMIT]} […]" if len(told) > _MESSAGE_LIMIT else told


def user_frames(error: BaseException) -> tuple[Frame, ...]:
    """Return the frames of an exception that lie in the user's own files, outermost first.

    Where TensorFlow has raised another exception in place of the user's, that quotes the traceback in its message.
    """
    frames = [
        Frame(file=frame.filename, line=frame.lineno or 0, function=frame.name, source=frame.line or "")
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    own = tuple(frame for frame in frames if _is_user_file(frame.file))
    return own or tuple(frame for frame in _quoted_frames(str(error)) if _is_user_file(frame.file))


def _unwrapped(kind: str, message: str) -> str:
    """Return ``Type: message`` of what was raised first, and the layer that Keras says it was raised in."""
    layer = ""
    while wrapped := _STAGED.fullmatch(message) or _IN_A_LAYER.fullmatch(message):
        if wrapped.re is _STAGED:
            kind, _, message = textwrap.dedent(wrapped[1]).strip().partition(": ")
        else:
            layer, message = f" (in {wrapped[1]})", textwrap.dedent(wrapped[2]).strip()
    return f"{kind}: {message}{layer}" if message else f"{kind}{layer}"


def _quoted_frames(text: str) -> Iterable[Frame]:
    start = _QUOTED_TRACEBACK.search(text)
    found = _QUOTED_FRAME.findall(text, start.end()) if start else ()
    # Replicas that fail alike are quoted one after the other.
    return dict.fromkeys(Frame(file, int(line), function, source.strip()) for file, line, function, source in found)


def _import_module(name: str, path: str) -> ModuleType:
    try:
        with user_code_boundary(f"importing {name!r}"):
            return importlib.import_module(name)
    except UserCodeError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing is None or not f"{name}.".startswith(f"{missing}."):
            raise
        raise UserCodeError(
            f"there is no module {missing!r}",
            received=path,
            expected="package.module.function, importable from the project's folder",
            hint=did_you_mean(missing, _siblings(missing)),
        ) from error.__cause__


def _siblings(module: str) -> list[str]:
    """Names of the modules beside the one that was not found, to suggest from."""
    import pkgutil

    parent, _, _ = module.rpartition(".")
    search = list(getattr(importlib.import_module(parent), "__path__", [])) if parent else None
    return [f"{parent}.{info.name}" if parent else info.name for info in pkgutil.iter_modules(search)]


def _is_user_file(filename: str) -> bool:
    if not filename.endswith(".py") or Path(filename).name.startswith(_AUTOGRAPH):
        return False
    resolved = Path(filename).resolve()
    return not any(resolved.is_relative_to(root) for root in _foreign_roots())


@cache
def _foreign_roots() -> tuple[Path, ...]:
    """Folders whose code is not the user's: the standard library, installed packages and Penstock itself."""
    installed = [Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    here = Path(__file__).parent
    return tuple({path.resolve() for path in [*installed, here, *here.iterdir()] if path.is_dir()})
