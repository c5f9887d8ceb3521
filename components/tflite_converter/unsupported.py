"""Why a converter refused: its errors as names of ops and layers, and what to do about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from penstock.components.tflite_converter.inspection import layer_of

_UNQUANTIZED = re.compile(r"Quantization to (?:16x8-bit|\S+) not yet supported for op: '(\w+)'")
_FOREIGN = re.compile(r"Select TensorFlow op.*Node number \d+ \(Flex(\w+)\)", re.DOTALL)
_NEEDS_FLEX, _NEEDS_CUSTOM = "ERROR_NEEDS_FLEX_OPS", "ERROR_NEEDS_CUSTOM_OPS"
_PLACE = re.compile(r"^.*?(<unknown>:0: )?(error|note): (loc\(.*\): )?")
_LONGEST = 160
"""Characters of a message that are told: the reason is a property in ML Metadata."""


@dataclass(frozen=True)
class Refusal:
    """Why a mode could not be converted.

    Args:
        reason: One sentence.
        hint: What to do next; None where nothing is known.
    """

    reason: str
    hint: str | None = None


def refusal_of(error: Exception) -> Refusal:
    """Return why TensorFlow's converter raised ``error``."""
    flex, custom = _ops(error, _NEEDS_FLEX), _ops(error, _NEEDS_CUSTOM)
    if custom:
        return Refusal(
            f"LiteRT and TensorFlow's Flex delegate have no {', '.join(custom)}",
            "compute it outside of the model, or by other ops",
        )
    if flex:
        return Refusal(
            f"LiteRT has no {', '.join(flex)}",
            "set `allow_select_tf_ops: true` to keep it as a TensorFlow op, or compute it by other ops",
        )
    foreign = _FOREIGN.findall(str(error))
    if foreign:
        return Refusal(f"calibrating would run TensorFlow's {foreign[0]}, and LiteRT here has no Flex delegate")
    unquantized = list(dict.fromkeys(_UNQUANTIZED.findall(str(error))))
    if unquantized:
        return Refusal(
            f"LiteRT cannot quantize {', '.join(unquantized)}",
            "leave the mode out, set `allow_float_ops: true`, or compute it by other ops",
        )
    return Refusal(f"the converter failed: {_first_lines(error)}")


def _ops(error: Exception, code: str) -> list[str]:
    """Return the ops of the converter's errors of one kind, each with its layer."""
    entries = (entry for entry in getattr(error, "errors", ()) if _code(entry) == code and entry.operator.name)
    return list(dict.fromkeys(f"{entry.operator.name.removeprefix('tf.')}{_layer(entry)}" for entry in entries))


def _code(entry: Any) -> str:
    return str(type(entry).ErrorCode.Name(entry.error_code))


def _layer(entry: Any) -> str:
    names = [layer_of(call.name) for call in entry.location.call]
    return f" (layer {names[0]})" if names and names[0] else ""


def _first_lines(error: Exception) -> str:
    """Return how an error begins, in one line without the places that MLIR puts before each sentence."""
    lines = [_PLACE.sub("", line).strip() for line in str(error).splitlines()]
    text = " | ".join(dict.fromkeys(line for line in lines if line)) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
