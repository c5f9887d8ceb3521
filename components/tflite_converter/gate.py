"""Which flatbuffers are within tolerance: one reason with its number for each limit that one is not."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.components.tflite_converter.config import INTEGER, Mode, TFLiteConverterConfig, bytes_of, limit_of
from penstock.components.tflite_converter.inspection import Inspection, Op
from penstock.components.tflite_converter.result import Figures, Verdict
from penstock.components.tflite_converter.words import bytes_text, drop_text, threads_text

_OPS_SHOWN = 3


def judge(mode: Mode, figures: Figures, config: TFLiteConverterConfig, *, float_inputs: bool) -> Verdict:
    """Return whether a flatbuffer is what its mode says and within the limits.

    Args:
        mode: Its mode.
        figures: What was found out about it.
        config: The limits.
        float_inputs: Whether the SavedModel takes real numbers; integers are the same in every mode.
    """
    objections = [
        *_impurities(mode, figures.inspection, config, float_inputs=float_inputs),
        *_excesses(mode, figures, config),
    ]
    if objections:
        return Verdict(blessed=False, reason="; ".join(objections))
    return Verdict(blessed=True, reason=f"within tolerance: {', '.join(_merits(figures, config))}")


def _impurities(mode: Mode, found: Inspection, config: TFLiteConverterConfig, *, float_inputs: bool) -> Iterator[str]:
    """Yield in which respects an integer model is none."""
    if mode not in INTEGER:
        return
    if found.float_ops and not config.allow_float_ops:
        count = f"{len(found.float_ops)} float op{'' if len(found.float_ops) == 1 else 's'}"
        hint = "; a fixed `batch` may have none" if config.batch == "dynamic" else ""
        yield f"{count} left: {_listed(found.float_ops)}{hint}"
    wanted = config.io_type(mode)
    for signature in found.signatures:
        tensors = {**(signature.inputs if float_inputs else {}), **signature.outputs}
        for name, tensor in tensors.items():
            if tensor.dtype != wanted and (tensor.is_float or tensor.quantization):
                yield f"{name} of {signature.name} is {tensor.dtype}, not {wanted}"


def _listed(ops: tuple[Op, ...]) -> str:
    shown = dict.fromkeys(f"{op.name} ({op.layer})" if op.layer else op.name for op in ops)
    rest = len(shown) - _OPS_SHOWN
    return ", ".join([*list(shown)[:_OPS_SHOWN], *([f"and {rest} more"] if rest > 0 else [])])


def _excesses(mode: Mode, figures: Figures, config: TFLiteConverterConfig) -> Iterator[str]:
    """Yield each limit that is passed, with the number."""
    gate, size = config.gate, figures.inspection.size
    max_size = limit_of(gate.max_size, mode)
    if max_size is not None and size > bytes_of(max_size):
        yield f"{bytes_text(size)}, and at most {bytes_text(bytes_of(max_size))} is allowed"
    max_drop = limit_of(gate.max_drop, mode)
    if max_drop is not None and figures.drop is not None and not figures.drop <= max_drop:
        yield f"{gate.metric} is {figures.drop:.4g} worse, and at most {max_drop:g} is allowed"
    max_error = limit_of(gate.max_abs_error, mode)
    if max_error is not None and figures.comparison is not None and not figures.comparison.max_abs_error <= max_error:
        yield f"an output is off by {figures.comparison.max_abs_error:.3g}, and at most {max_error:g} is allowed"
    max_ratio = limit_of(gate.max_latency_ratio, mode)
    if max_ratio is not None and figures.timings and figures.timings[0].ratio > max_ratio:
        timing = figures.timings[0]
        yield (
            f"a call takes {timing.ratio:.3g} times as long as the SavedModel's ({timing.latency.p50:.0f} µs, "
            f"{threads_text(timing.threads)}), and at most {max_ratio:g} is allowed"
        )


def _merits(figures: Figures, config: TFLiteConverterConfig) -> Iterator[str]:
    yield bytes_text(figures.inspection.size)
    if figures.drop is not None:
        yield f"{config.gate.metric} {drop_text(figures.drop)}"
    if figures.comparison is not None:
        yield f"outputs off by {figures.comparison.max_abs_error:.3g} at most"
    if figures.timings:
        yield f"{figures.timings[0].ratio:.3g} of the SavedModel's latency"
