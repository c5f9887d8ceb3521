"""The command of every container of a compiled pipeline: ``python -m penstock.pipelines.kubeflow.entrypoint``.

Compiled pipelines name this module, so its path and its arguments stay as they are.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from penstock.errors import ConfigError, PenstockError
from penstock.pipelines.kubeflow.execute import ExecutorInput, execute
from penstock.pipelines.kubeflow.outcome import Outcome
from penstock.pipelines.kubeflow.step_spec import StepSpec
from penstock.pipelines.runners.translate import translate
from penstock.user_code import import_function, user_code_boundary

_LIBRARIES = ("absl", "apache_beam", "tensorflow")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say and return the exit code; an error is one message, its traceback stands before it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    options = _parser().parse_args(arguments)
    _find_user_modules()
    try:
        executor_input = ExecutorInput(_parsed(options.executor_input))
        if options.command == "exit":
            _exit(options.function, executor_input)
        else:
            execute(StepSpec.loads(options.step), executor_input, dict(options.input), dict(options.output))
    except Exception as error:  # noqa: BLE001  Everything that a step raises ends here, as its one message.
        told = translate(error)
        if not isinstance(error, PenstockError):
            traceback.print_exception(error)
        print(told, file=sys.stderr, flush=True)
        return told.exit_code
    return 0


def _exit(function: str, executor_input: ExecutorInput) -> None:
    handler = import_function(function)
    outcome = Outcome.from_status(executor_input.parameters.get("status", {}))
    with user_code_boundary(f"exit handler {function!r}"):
        handler(outcome)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock.pipelines.kubeflow.entrypoint", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("step", help="Execute one step.")
    step.add_argument("--step", required=True, help="The step, as JSON.")
    step.add_argument("--input", type=_place, action="append", default=[], help="NAME=PLACE of an input's files.")
    step.add_argument("--output", type=_place, action="append", default=[], help="NAME=PLACE for an output's files.")
    handler = commands.add_parser("exit", help="Call the exit handler.")
    handler.add_argument("--function", required=True, help="Its import path.")
    for command in (step, handler):
        command.add_argument("--executor-input", required=True, help="KFP's ExecutorInput, as JSON.")
    return parser


def _place(text: str) -> tuple[str, str]:
    name, equals, place = text.partition("=")
    if not equals or "{{" in place:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=PLACE: KFP's launcher fills it in")
    return name, place.rstrip("/")


def _parsed(text: str) -> dict[str, object]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            "the executor input is no JSON", received=text[:60], expected="KFP's ExecutorInput"
        ) from error
    if not isinstance(data, dict):
        raise ConfigError("the executor input is no mapping", received=text[:60], expected="KFP's ExecutorInput")
    return data


def _find_user_modules() -> None:
    """Let the user's modules be imported from the working directory, here and in processes that steps start."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([folder, *_paths(os.environ.get("PYTHONPATH", ""))]))


def _paths(text: str) -> list[str]:
    return [path for path in text.split(os.pathsep) if path]


if __name__ == "__main__":
    sys.exit(main())
