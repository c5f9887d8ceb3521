"""The predict gate for flatbuffers: what the LiteRT interpreter cannot load, or cannot ask, is not published.

The copies that are about to be published are loaded in a process of their own, as a device would. ``python -m
penstock.components.pusher.flatbuffer_gate FOLDER`` asks those of one version by hand.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.components.pusher.clean_process import ask_in_clean_process, tell
from penstock.components.pusher.flatbuffers import FLATBUFFER
from penstock.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FlatbufferReport:
    """What the flatbuffers of a version did in the gate: mode → the signatures that answered."""

    answered: dict[str, list[str]]

    def __str__(self) -> str:
        modes = "; ".join(f"{mode} ({', '.join(signatures)})" for mode, signatures in self.answered.items())
        return f"the LiteRT interpreter answered in a clean process: {modes}"


def pass_flatbuffer_gate(version: Path, timeout: float) -> FlatbufferReport:
    """Load the flatbuffers of a version in a clean process, and ask every signature once.

    Args:
        version: Folder of the version, with a folder for each mode.
        timeout: Seconds that they may take.

    Raises:
        ArtifactError: One cannot be loaded or cannot answer, ended the process, or took too long.
        EnvironmentProblem: The process could not be started.
    """
    return FlatbufferReport(**ask_in_clean_process(__name__, version, timeout, partial(_refused, version)))


def ask(version: Path) -> FlatbufferReport:
    """Do the gate's work in this process.

    Raises:
        ArtifactError: A flatbuffer cannot be loaded or cannot answer.
    """
    return FlatbufferReport({file.parent.name: _answers(file) for file in sorted(version.glob(f"*/{FLATBUFFER}"))})


def _answers(file: Path) -> list[str]:
    """Ask every signature of a flatbuffer about one row of zeros, and return the signatures' names."""
    from ai_edge_litert.interpreter import Interpreter

    # What the interpreter raises for a file that it cannot take, or an operation that it lacks.
    try:
        interpreter = Interpreter(model_path=str(file))
        names = sorted(interpreter.get_signature_list())
        for name in names:
            runner = interpreter.get_signature_runner(name)
            runner(**{key: _zeros(tensor) for key, tensor in runner.get_input_details().items()})
    except (ValueError, RuntimeError) as error:
        by_hand = "ask it by hand: python -m penstock.components.pusher.flatbuffer_gate FOLDER"
        raise _refused(file, str(error).strip(), by_hand) from error
    if not names:
        raise _refused(file, "it has no signature", "convert the model with its signatures")
    return names


def _zeros(tensor: dict[str, Any]) -> NDArray[Any]:
    import numpy as np

    # A length that a caller may choose is -1 here.
    return np.zeros([max(int(length), 1) for length in tensor["shape_signature"]], tensor["dtype"])


def _refused(model: Path, what: str, hint: str) -> ArtifactError:
    return ArtifactError(
        f"the flatbuffer did not pass the predict gate: {what}",
        where=str(model),
        expected="a model.tflite that the LiteRT interpreter loads in a clean process, and whose signatures answer",
        hint=hint,
    )


if __name__ == "__main__":
    tell(lambda version: asdict(ask(version)))
