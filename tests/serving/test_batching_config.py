import os
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from penstock.serving.batching_config import BatchingOptions, format_batching, parse_batching
from penstock.serving.errors import Code, ServingError


def test_what_is_left_out_gets_tf_servings_default():
    assert parse_batching("") == BatchingOptions(
        max_batch_size=1000,
        batch_timeout_micros=0,
        max_enqueued_batches=10,
        num_batch_threads=os.cpu_count() or 1,
        allowed_batch_sizes=(),
        split_large=False,
    )


def test_the_file_of_tf_servings_documentation():
    text = """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        thread_pool_name { value: "pool" }
        allowed_batch_sizes: 32
        allowed_batch_sizes: 128
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 128 }
    """
    assert parse_batching(text) == BatchingOptions(128, 0, 1_000_000, 8, (32, 128), split_large=True)


def test_the_canonical_text():
    assert format_batching(max_batch_size=64, batch_timeout_micros=2000, allowed_batch_sizes=[8, 64]) == (
        "max_batch_size {\n  value: 64\n}\n"
        "batch_timeout_micros {\n  value: 2000\n}\n"
        "allowed_batch_sizes: 8\nallowed_batch_sizes: 64\n"
    )
    assert format_batching() == ""


@given(
    size=st.integers(1, 2**31), timeout=st.integers(0, 2**40), queue=st.integers(1, 2**31), threads=st.integers(1, 512)
)
def test_what_is_written_is_read_again(size: int, timeout: int, queue: int, threads: int):
    text = format_batching(
        max_batch_size=size, batch_timeout_micros=timeout, max_enqueued_batches=queue, num_batch_threads=threads
    )
    assert parse_batching(text) == BatchingOptions(size, timeout, queue, threads)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_batch_size": 0}, "max_batch_size must be positive; was 0"),
        ({"max_enqueued_batches": -1}, "max_enqueued_batches must be positive; was -1"),
        ({"num_batch_threads": 0}, "num_batch_threads must be positive; was 0"),
        ({"batch_timeout_micros": -1}, "batch_timeout_micros must be non-negative; was -1"),
        (
            {"max_batch_size": 8, "allowed_batch_sizes": [4]},
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            {"max_batch_size": 8, "allowed_batch_sizes": [4, 4, 8]},
            "allowed_batch_sizes entries must be positive and monotonically increasing",
        ),
        (
            {"max_batch_size": 8, "allowed_batch_sizes": [0, 8]},
            "allowed_batch_sizes entries must be positive and monotonically increasing",
        ),
    ],
)
def test_values_that_tensorflow_refuses(values: dict[str, Any], message: str):
    with pytest.raises(ServingError) as caught:
        format_batching(**values)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


def test_text_that_is_malformed():
    with pytest.raises(ServingError) as caught:
        parse_batching("max_batch_size: {", "/m/1/batching_params.pbtxt")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == "Invalid protobuf file: '/m/1/batching_params.pbtxt': 1:17 : Expected \"}\"."
    assert isinstance(caught.value.__cause__, text_format.ParseError)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs"),
        (
            (
                "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } "
                "max_execution_batch_size { value: 4 }"
            ),
            "max_execution_batch_size other than max_batch_size",
        ),
    ],
)
def test_what_the_batch_operation_cannot_do_is_refused(text: str, what: str):
    with pytest.raises(ServingError) as caught:
        parse_batching(text)
    assert caught.value.code is Code.UNIMPLEMENTED
    assert caught.value.message == f"{what} is not supported by this server"
