"""How much memory a request may ask for: a few bytes can stand for very many."""

from __future__ import annotations

from penstock.serving.errors import Code, ServingError


def check_expanded(size: int, unsent: int, limit: int) -> int:
    """Return the bytes that a request asks for.

    Args:
        size: Bytes of the request itself, which whoever received it has let in.
        unsent: Bytes that it stands for beyond them.
        limit: Bytes of the largest request.

    Raises:
        ServingError: RESOURCE_EXHAUSTED, as gRPC answers a message that is too large: they are too many.
    """
    if unsent and size + unsent > limit:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED, f"Request larger than max when expanded ({size + unsent} vs. {limit})"
        )
    return size + unsent
