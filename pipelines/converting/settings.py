"""``--set KEY=VALUE`` arguments → the converter's typed parameters, with the errors of a pipeline file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.components.tflite_converter.config import MODES, TFLiteConverterConfig
from penstock.errors import ConfigError
from penstock.pipelines.config import ConfigProblems, Document, Problem, coerced, did_you_mean, problems_from_pydantic
from penstock.pipelines.config.marks import Source, argument_source
from penstock.pipelines.config.parse import SyntaxProblemError, parse
from penstock.pipelines.config.tree import Node, flatten, merge

_ARGUMENTS = "the --set arguments"


def config_of(options: Mapping[str, str], settings: Sequence[str]) -> TFLiteConverterConfig:
    """Return the parameters that a command line gives.

    Args:
        options: Key → value as YAML, of the options that have a name of their own.
        settings: Arguments such as ``gate.max_drop=0.01``; they win.

    Raises:
        ConfigError: All that is wrong.
    """
    root = Source("", "").mark(0, 0)
    tree = Node({}, root)
    try:
        for key, text in options.items():
            tree = merge(tree, _branch(key, text))
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals or not all(key.split(".")):
                raise ConfigError(
                    "--set needs a key and a value", received=setting, expected="KEY=VALUE, such as gate.max_drop=0.01"
                )
            tree = merge(tree, _branch(key, text))
    except SyntaxProblemError as error:
        raise ConfigProblems([error.problem], _ARGUMENTS) from error
    return _typed(tree)


def _branch(key: str, text: str) -> Node:
    """Return a mapping that holds nothing but the value of ``key``."""
    source, path = argument_source(key, text), tuple(key.split("."))
    node, problems = parse(source, path)
    if problems:
        raise ConfigProblems(problems, _ARGUMENTS)
    mark = source.mark(0, 0)
    for part in reversed(path):
        node = Node({part: replace(node, key=mark)}, mark)
    return node


def _typed(tree: Node) -> TFLiteConverterConfig:
    data, places = flatten(tree)
    document = Document(Path(_ARGUMENTS), Path.cwd(), data, places)
    problems: list[Problem]
    try:
        config = TFLiteConverterConfig.model_validate(data)
        problems = list(coerced(document, (), config))
    except ValidationError as error:
        raise ConfigProblems(problems_from_pydantic(document, error, (), TFLiteConverterConfig), _ARGUMENTS) from error
    if problems:
        raise ConfigProblems(problems, _ARGUMENTS)
    return config


def modes_of(text: str) -> str:
    """Return ``int8,float32`` as a YAML list.

    Raises:
        ConfigError: One is no mode.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in MODES:
            raise ConfigError(
                f"there is no mode {name!r}",
                where="--modes",
                expected=f"some of {','.join(MODES)}",
                hint=did_you_mean(name, MODES),
            )
    return f"[{', '.join(names)}]"


def flags(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that were given as text."""
    return {key: str(value) for key, value in values.items() if value is not None}
