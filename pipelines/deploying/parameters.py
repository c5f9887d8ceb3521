"""``--param name=value``: values of one run, typed as the config's ``vars`` are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ruamel.yaml.error import YAMLError

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.pipelines.config import ConfigProblems, Loaded, Problem
from penstock.pipelines.config.scalars import loader, read_scalar
from penstock.pipelines.config.words import described, kind, one_of

_CONTAINERS = (dict, list)


def parse_parameters(loaded: Loaded, given: Sequence[str]) -> dict[str, Any]:
    """Return the values by name.

    Args:
        loaded: The config; its ``vars`` say which names there are, and their types.
        given: Arguments such as ``epochs=3``; the value is YAML, and plain text where the variable is text.

    Raises:
        ConfigError: An argument is no ``name=value``, or its name is none of the ``vars``.
        ConfigProblems: Values of another type than the config's, with its line.
    """
    known = loaded.config.vars
    values, problems = {}, []
    for argument in given:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise ConfigError(
                f"--param {argument}: a parameter needs '=' and a value", expected="name=value, for example epochs=3"
            )
        if name not in known:
            expected = one_of(list(known)) if known else "none: the config has no 'vars'"
            raise ConfigError(
                f"--param {name}: the pipeline has no parameter of that name",
                expected=expected,
                hint=did_you_mean(name, known) or "declare it under 'vars' and use it as '${vars.NAME}'",
            )
        value = _value(text, known[name])
        if _fits(value, known[name]):
            values[name] = value
        else:
            problems.append(_mistyped(loaded, name, value))
    if problems:
        raise ConfigProblems(problems, loaded.document.file)
    return values


def _value(text: str, declared: Any) -> Any:
    """Read a value: what is declared as text stays text, so that ``name=5`` and ``name=true`` are what they say."""
    if isinstance(declared, str):
        return text
    if not isinstance(declared, _CONTAINERS):
        return read_scalar(text)
    try:
        return _plain(loader().load(text))
    except (YAMLError, ValueError):
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _fits(value: Any, declared: Any) -> bool:
    return kind(value) == kind(declared) or (kind(value) == "an integer" and kind(declared) == "a number")


def _mistyped(loaded: Loaded, name: str, value: Any) -> Problem:
    expected = kind(loaded.document.value(("vars", name)))
    return loaded.document.problem(
        ("vars", name),
        f"--param {name}: expected {expected}, as it is here, received {described(value)}",
        received=described(value),
        expected=expected,
    )
