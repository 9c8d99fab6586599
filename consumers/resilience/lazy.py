"""Limits of time that cost nothing where nobody waits: most steps end at once, and a timer takes as long as they do."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

T = TypeVar("T")


async def within(scope: Callable[[], AbstractAsyncContextManager[object]], work: Awaitable[T]) -> T:
    """What *work* gives; from where it first waits for anything, inside of *scope*, which is not made before."""
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
    """What is left of *steps*, as ``yield from`` gives it. They wait for *waits*, which the loop has yet to be told."""
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
