"""The parameters of the TFLiteConverter: what may stand under ``with:``. Imports neither TensorFlow nor TFX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, TypeAlias, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from penstock.components.tflite_converter.metrics import require_metric

Mode: TypeAlias = Literal["float32", "dynamic_range", "float16", "int8", "int16x8"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""float32: as trained. dynamic_range: int8 weights, float activations. float16: float16 weights. int8: int8 weights and
activations. int16x8: int8 weights, int16 activations."""
IoType: TypeAlias = Literal["float32", "int8", "uint8", "int16"]
IO_TYPES: Mapping[Mode, tuple[IoType, ...]] = {
    "float32": ("float32",),
    "dynamic_range": ("float32",),
    "float16": ("float32",),
    "int8": ("int8", "uint8", "float32"),
    "int16x8": ("int16", "float32"),
}
"""Types that inputs and outputs may have; the first is the default."""
INTEGER: frozenset[Mode] = frozenset({"int8", "int16x8"})
"""Modes whose activations are integers: they are calibrated, and no float op may be left."""
Limit = TypeVar("Limit", float, "int | str")


def bytes_of(size: int | str) -> int:
    """Return a size such as 200kB or 1.5MiB in bytes.

    Raises:
        ValueError: It is none.
    """
    try:
        number = int(_BYTES.validate_python(size))
    except ValidationError:
        number = 0
    if number < 1:
        raise ValueError(f"must be a size such as 200kB, 1.5MB or 1MiB, or bytes; received {size!r}")
    return number


def _require_size(size: str) -> str:
    bytes_of(size)
    return size


_BYTES = TypeAdapter(ByteSize)
Size: TypeAlias = PositiveInt | Annotated[str, AfterValidator(_require_size)]


class Options(BaseModel):
    """Base of all groups: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Representative(Options):
    """The rows that integer modes are calibrated with."""

    split: str = Field(default="train", min_length=1, description="Split of `examples`. Default train.")
    rows: PositiveInt = Field(default=200, description="Rows, a count, the first of the split. Default 200.")


class Measure(Options):
    """How each flatbuffer is compared with the SavedModel."""

    split: str = Field(default="eval", min_length=1, description="Split of `examples`. Default eval.")
    rows: PositiveInt = Field(
        default=10_000, description="Rows that both are asked, a count, the first of the split. Default 10000."
    )
    threads: tuple[PositiveInt, ...] = Field(
        default=(1,), min_length=1, description="Thread counts to time; the gate looks at the first. Default [1]."
    )
    runs: PositiveInt = Field(default=100, description="Timed calls a thread count, a count, at most. Default 100.")
    warm_up: NonNegativeInt = Field(default=10, description="Calls before the timed ones, a count. Default 10.")
    seconds: PositiveFloat = Field(
        default=60.0, description="Timed calls of all modes end after so long, in seconds. Default 60."
    )


class Gate(Options):
    """What a flatbuffer must keep to be blessed: one limit for all modes, or a mapping of modes to limits."""

    metric: Annotated[str, AfterValidator(require_metric)] | None = Field(
        default=None, description="Keras's name of the metric, such as accuracy, auc or mse. Default none."
    )
    max_drop: NonNegativeFloat | dict[Mode, NonNegativeFloat] | None = Field(
        default=None, description="How much worse the metric may be than the SavedModel's, absolute. Default any."
    )
    max_size: Size | dict[Mode, Size] | None = Field(
        default=None, description="Largest file, such as 200kB or 1.5MB, or in bytes. Default any."
    )
    max_latency_ratio: PositiveFloat | dict[Mode, PositiveFloat] | None = Field(
        default=None, description="Median latency, divided by the SavedModel's in the same process. Default any."
    )
    max_abs_error: NonNegativeFloat | dict[Mode, NonNegativeFloat] | None = Field(
        default=None, description="Largest difference of an output from the SavedModel's, absolute. Default any."
    )
    required: tuple[Mode, ...] = Field(
        default=(), description="Modes without whose blessing the step fails. Default none."
    )

    @model_validator(mode="after")
    def _drops_have_a_metric(self) -> Gate:
        if self.max_drop is not None and self.metric is None:
            raise ValueError("`max_drop` needs `metric`, the metric that may drop, such as metric: accuracy")
        return self

    def named_modes(self) -> Iterator[tuple[str, Mode]]:
        """Yield each key with each mode that it names."""
        for key in ("max_drop", "max_size", "max_latency_ratio", "max_abs_error"):
            limit = getattr(self, key)
            yield from ((key, mode) for mode in (limit if isinstance(limit, dict) else ()))
        yield from (("required", mode) for mode in self.required)


class TFLiteConverterConfig(Options):
    """Typed parameters of :class:`penstock.components.tflite_converter.component.TFLiteConverter`."""

    signature: str | tuple[str, ...] = Field(
        default="predict",
        min_length=1,
        description="Signature of the SavedModel to convert, or several; the metric is that of the first. "
        "Default predict.",
    )
    modes: tuple[Mode, ...] = Field(
        default=MODES, min_length=1, description="Quantization modes, one flatbuffer each. Default all."
    )
    batch: PositiveInt | Literal["dynamic"] = Field(
        default=1,
        description="Rows of a call, a count, or dynamic. What depends on the shape alone is computed when converting, "
        "so a fixed batch is smaller, faster, and may be quantized where a dynamic one may not. Default 1.",
    )
    features: Literal["raw", "transformed"] = Field(
        default="raw",
        description="What the signature takes by name: the features of `examples`, or what `transform_graph` makes of "
        "them. Default raw.",
    )
    representative: Representative = Field(
        default=Representative(), description="The rows that int8 and int16x8 are calibrated with."
    )
    io: dict[Mode, IoType] = Field(
        default={},
        description="Type of inputs and outputs by mode: int8, uint8 or float32 for int8; int16 or float32 for "
        "int16x8. Default int8 and int16.",
    )
    allow_select_tf_ops: bool = Field(
        default=False,
        description="Keep ops that TFLite lacks as TensorFlow's; an app must then link the Flex delegate. Default no.",
    )
    allow_float_ops: bool = Field(
        default=False, description="Bless int8 and int16x8 models with float ops inside. Default no."
    )
    label: str | None = Field(
        default=None,
        min_length=1,
        description="The label feature, transformed where `transform_graph` is wired. Default: the Trainer's.",
    )
    output: str | None = Field(
        default=None, min_length=1, description="The output that the metric looks at. Default: the only one."
    )
    measure: Measure = Field(default=Measure(), description="How each flatbuffer is compared with the SavedModel.")
    gate: Gate = Field(default=Gate(), description="What a flatbuffer must keep to be blessed.")

    @model_validator(mode="after")
    def _modes_fit(self) -> TFLiteConverterConfig:
        for key, names in (("modes", self.modes), ("signature", self.signatures)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"`{key}` names {', '.join(repeated)} twice")
        for key, mode in (*self.gate.named_modes(), *(("io", mode) for mode in self.io)):
            if mode not in self.modes:
                raise ValueError(f"`{key}` names {mode}, which is not among `modes` ({', '.join(self.modes)})")
        for mode, kind in self.io.items():
            if kind not in IO_TYPES[mode]:
                raise ValueError(f"`io` of {mode} is {' or '.join(IO_TYPES[mode])}; received {kind}")
        return self

    @property
    def signatures(self) -> tuple[str, ...]:
        """The signatures to convert; the first is the one that the metric looks at."""
        return (self.signature,) if isinstance(self.signature, str) else self.signature

    def io_type(self, mode: Mode) -> IoType:
        """Return the type of a mode's inputs and outputs."""
        return self.io.get(mode, IO_TYPES[mode][0])

    def unused_inputs(self) -> frozenset[str]:
        """Return the inputs that these parameters leave without a use; they are not wired by themselves."""
        uses_graph = self.features == "transformed" or self.gate.metric is not None
        return frozenset() if uses_graph else frozenset({"transform_graph"})

    def needed_inputs(self) -> frozenset[str]:
        """Return the optional inputs that these parameters cannot do without."""
        return frozenset({"transform_graph"}) if self.features == "transformed" else frozenset()


def limit_of(limit: Limit | dict[Mode, Limit] | None, mode: Mode) -> Limit | None:
    """Return the limit that holds for a mode, or None."""
    return limit.get(mode) if isinstance(limit, dict) else limit
