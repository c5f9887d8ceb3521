"""Results that nobody measured, to judge, report and draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.components.tflite_converter.inspection import Inspection, Op, Signature, Tensor
from penstock.components.tflite_converter.result import (
    Comparison,
    Conversion,
    Figures,
    Latency,
    ModeResult,
    Timing,
    Verdict,
)


def tensor(dtype: str, name: str = "t", shape: tuple[int | None, ...] = (1, 3)) -> Tensor:
    return Tensor(name, dtype, shape, None, constant=False)


def op(name: str, dtype: str, layer: str = "layer") -> Op:
    return Op(name, (tensor(dtype),), (tensor(dtype, layer),), at_border=False, custom=False)


def inspection(size: int = 200_000, io: str = "int8", ops: tuple[Op, ...] = ()) -> Inspection:
    signature = Signature("predict", {"x": tensor(io)}, {"y": tensor(io)})
    return Inspection(size, "digest", (signature,), ops or (op("CONV_2D", io),))


def figures(**changes: Any) -> Figures:
    values: dict[str, Any] = {
        "inspection": inspection(),
        "comparison": Comparison(0.0378, 0.00058, 1, 0.9639),
        "drop": 0.00278,
        "timings": (Timing(1, Latency(14.7, 21.4, 200), 0.04), Timing(2, Latency(130.0, 140.0, 200), 0.34)),
        "arena_bytes": 12_352,
    }
    return Figures(**{**values, **changes})


def conversion(*results: ModeResult, **changes: Any) -> Conversion:
    values: dict[str, Any] = {
        "saved_model": Path("/model"),
        "signatures": ("predict",),
        "batch": 1,
        "rows": 360,
        "representative_rows": 200,
        "metric": "accuracy",
        "baseline": 0.9667,
        "latency": Latency(394.0, 454.0, 200),
        "unfolded": (),
        "results": results,
    }
    return Conversion(**{**values, **changes})


BLESSED = Verdict(blessed=True, reason="within tolerance: all is well")
FLOAT32 = ModeResult(
    "float32",
    Verdict(blessed=False, reason="1.095 MB, and at most 300 kB is allowed"),
    figures(inspection=inspection(1_095_000, "float32"), comparison=Comparison(1e-6, 1e-8, 0, 0.9667), drop=0.0),
)
INT8 = ModeResult("int8", BLESSED, figures())
REFUSED = ModeResult("int16x8", Verdict(blessed=False, reason="not converted: LiteRT cannot quantize A | B"), None)
