"""How requests are batched: TF Serving's ``BatchingParameters``, as text and as a typed value."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from google.protobuf import text_format

from penstock.serving.errors import Code, ServingError
from penstock.serving.protos import transcribed

BATCHING_FILE = "batching_params.pbtxt"
"""Name of the file inside a SavedModel that says how that model is batched."""

_MESSAGE = "tensorflow.serving.BatchingParameters"


@dataclass(frozen=True)
class BatchingOptions:
    """How the requests to one signature of one model are batched; the defaults are TF Serving's.

    Attributes:
        max_batch_size: Rows of the largest batch, and of the largest request.
        batch_timeout_micros: Microseconds that a request waits for others before its batch runs.
        max_enqueued_batches: Batches that may wait; a request that would need one more is refused as UNAVAILABLE.
        num_batch_threads: Batches of one signature that run at the same time.
        allowed_batch_sizes: Sizes that batches are padded to, increasing, the last one `max_batch_size`; empty: any.
        split_large: Split requests to fill batches up.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()
    split_large: bool = False

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise _invalid(f"{name} must be positive; was {getattr(self, name)}")
        if self.batch_timeout_micros < 0:
            raise _invalid(f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}")
        sizes = self.allowed_batch_sizes
        if not sizes:
            return
        if sizes[0] < 1 or any(first >= second for first, second in pairwise(sizes)):
            raise _invalid("allowed_batch_sizes entries must be positive and monotonically increasing")
        if sizes[-1] != self.max_batch_size:
            raise _invalid(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{sizes[-1]}; expected {self.max_batch_size}"
            )


def parse_batching(text: str, where: str = "batching parameters") -> BatchingOptions:
    """Read a ``BatchingParameters`` text proto; what it leaves out gets TF Serving's default.

    Args:
        text: The text proto.
        where: What errors call it.

    Raises:
        ServingError: The text is malformed, a value is out of range, or it asks for what TensorFlow's own batch
            operation cannot do.
    """
    proto = transcribed(_MESSAGE)()
    try:
        text_format.Parse(text, proto)
    except text_format.ParseError as error:
        raise _invalid(f"Invalid protobuf file: '{where}': {error}") from error
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    given: dict[str, Any] = {name: getattr(proto, name).value for name in names if proto.HasField(name)}
    options = BatchingOptions(
        **given,
        allowed_batch_sizes=tuple(proto.allowed_batch_sizes),
        split_large=proto.enable_large_batch_splitting.value,
    )
    if proto.pad_variable_length_inputs:
        raise ServingError(Code.UNIMPLEMENTED, "pad_variable_length_inputs is not supported by this server")
    executed = proto.max_execution_batch_size.value
    if options.split_large and executed not in (0, options.max_batch_size):
        raise ServingError(
            Code.UNIMPLEMENTED, "max_execution_batch_size other than max_batch_size is not supported by this server"
        )
    return options


def format_batching(
    *,
    max_batch_size: int | None = None,
    batch_timeout_micros: int | None = None,
    max_enqueued_batches: int | None = None,
    num_batch_threads: int | None = None,
    allowed_batch_sizes: Sequence[int] = (),
) -> str:
    """Return a ``BatchingParameters`` text proto with the values that are given; see :class:`BatchingOptions`.

    Raises:
        ServingError: A value is out of range.
    """
    given = {
        "max_batch_size": max_batch_size,
        "batch_timeout_micros": batch_timeout_micros,
        "max_enqueued_batches": max_enqueued_batches,
        "num_batch_threads": num_batch_threads,
    }
    proto = transcribed(_MESSAGE)(allowed_batch_sizes=allowed_batch_sizes)
    for name, value in given.items():
        if value is not None:
            getattr(proto, name).value = value
    text = str(text_format.MessageToString(proto))
    parse_batching(text)
    return text


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
