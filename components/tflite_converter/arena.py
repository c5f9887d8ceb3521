"""The memory that LiteRT's interpreter plans for a model's tensors: its arena.

LiteRT's Python tells nobody how large the arena is, but where each tensor lies in it: the distance from the first byte
to the last is its size. Reading a tensor that was never placed ends the process, so it is done in one of its own. It is
the arena of LiteRT's own kernels; XNNPACK, where it takes over, has its own memory.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 120.0


def arena_bytes(file: Path) -> int | None:
    """Return the bytes of the arena for one call of a model, or None where it cannot be told.

    Args:
        file: The flatbuffer.
    """
    command = [sys.executable, "-m", __name__, str(file)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603  Ours.
    except (OSError, subprocess.TimeoutExpired):
        return None
    return int(ended.stdout) if ended.returncode == 0 and ended.stdout else None


@dataclass(frozen=True)
class _Plan:
    """Where an interpreter keeps what it computes.

    Args:
        places: Offset from the first tensor, and size in bytes, of each tensor that depends on the inputs.
        unpacked: Bytes of the tensors that depend on constants alone: weights that are stored in another type.
    """

    places: tuple[tuple[int, int], ...]
    unpacked: int


def measure(file: Path) -> int | None:
    """Return the bytes for the tensors that a model computes; None if not all of them lie in the arena.

    Tensors whose size is known only during a call lie anywhere, and elsewhere in another interpreter.
    """
    first, second = _plan(file), _plan(file)
    if first != second:
        return None
    return max(offset + size for offset, size in first.places) + first.unpacked


_kept: list[object] = []
"""Interpreters that must not give their memory to the next one."""


def _plan(file: Path) -> _Plan:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(file), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    _kept.append(interpreter)
    interpreter.allocate_tensors()
    interpreter.invoke()
    graph = schema.Model.GetRootAs(file.read_bytes(), 0).Subgraphs(0)
    varying = {int(index) for index in graph.InputsAsNumpy()}
    constant: set[int] = set()
    # In the file's order, so that what an op reads was looked at before.
    for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
        depends = varying.intersection(operator.InputsAsNumpy().tolist())
        (varying if depends else constant).update(operator.OutputsAsNumpy().tolist())
    views = [interpreter.tensor(index)() for index in sorted(varying)]
    starts = [view.__array_interface__["data"][0] for view in views]
    return _Plan(
        places=tuple((start - min(starts), view.nbytes) for start, view in zip(starts, views, strict=True)),
        unpacked=sum(interpreter.tensor(index)().nbytes for index in constant),
    )


if __name__ == "__main__":
    found = measure(Path(sys.argv[1]))
    sys.stdout.write("" if found is None else str(found))
