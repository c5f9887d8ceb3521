"""The error that a model server answers with: a canonical gRPC code and a sentence.

It is not one of ``penstock.errors``: it crosses the wire to a caller who asked for the impossible, and its wording is
TensorFlow Serving's, which clients may compare.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The canonical status codes, with the numbers that gRPC and ``google.rpc`` give them."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServingError(Exception):
    """A request, or a load, that failed.

    Args:
        code: What kind of failure it is.
        message: What the caller is told.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"
