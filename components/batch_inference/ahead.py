"""Work that goes on in threads while what is finished is used, in order and never far ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int
) -> Generator[Result, None, None]:
    """Yield the function's results in the order of the items.

    Args:
        function: Called in one of the threads.
        items: Taken in the caller's thread, at most one more than there are threads before its result is yielded.
        threads: How many calls go on at once, a count.

    Raises:
        Exception: Whatever the function raises, in its place; later calls are waited for and dropped.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="score") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
