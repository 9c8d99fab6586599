"""Timeouts that cost nothing for work that never suspends. Most steps do not, and a timer costs as much as they do."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

T = TypeVar("T")


async def lazy_timeout(scope: Callable[[], AbstractAsyncContextManager[object]], work: Awaitable[T]) -> T:
    """Return the result of *work*. *scope* is made and entered only when *work* first suspends."""
    steps = work.__await__()
    try:
        waits = next(steps)
    except StopIteration as end:
        made: T = end.value
        return made
    async with scope():
        return await _rest(steps, waits)


@types.coroutine
def _rest(steps: Generator[Any, Any, T], waits: object) -> Generator[Any, Any, T]:
    """Drive the rest of *steps*, as ``yield from`` does. They wait for *waits*, which the loop has not received yet."""
    while True:
        try:
            yield waits
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is theirs: they raise it again, or go on
            try:
                waits = steps.throw(error)
            except StopIteration as end:
                made: T = end.value
                return made
        else:
            return (yield from steps)
