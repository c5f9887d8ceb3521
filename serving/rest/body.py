"""The body of a request: never more of it than the limit, as sent and as uncompressed."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from penstock.serving.errors import Code, ServingError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class TooLargeError(Exception):
    """A body is larger than the limit, which it is made with."""

    def __str__(self) -> str:
        return f"The request's body is larger than {self.args[0]} bytes"


class TooSlowError(Exception):
    """A body was not there in time, which it is made with."""

    def __str__(self) -> str:
        return f"The request's body has not come within {self.args[0]:g} s"


@dataclass(frozen=True)
class Body:
    """The body of a request as it was sent."""

    sent: bytes
    gzipped: bool = False

    def text(self, limit: int) -> bytes:
        """Return the body, uncompressed; a few bytes can stand for very many.

        Raises:
            TooLargeError: It is larger than ``limit`` bytes.
            ServingError: INVALID_ARGUMENT: it is no gzip.
        """
        if not self.gzipped:
            return self.sent
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            text = inflater.decompress(self.sent, limit + 1)
        except zlib.error as error:
            raise _not_gzip(str(error)) from error
        if len(text) > limit:
            raise TooLargeError(limit)
        if not inflater.eof:
            raise _not_gzip("it is incomplete")
        return text


async def receive_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> Body | None:
    """Return the request's body; None if the client has gone.

    Raises:
        TooLargeError: It is larger than ``limit`` bytes, or says that it will be.
    """
    if int(headers.get(b"content-length", b"0")) > limit:
        raise TooLargeError(limit)
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise TooLargeError(limit)
        more = message.get("more_body", False)
    return Body(b"".join(chunks), gzipped=b"gzip" in headers.get(b"content-encoding", b""))


def _not_gzip(reason: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, f"Failed to uncompress the gzipped body: {reason}")
