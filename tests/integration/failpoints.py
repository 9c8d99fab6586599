"""Places around a transaction at which a worker process can be made to die, as by SIGKILL."""

# ruff: noqa: SLF001 - the steps of a transaction are nobody else's business

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Literal, get_args

from streams.transport.library import EndTxnRequest, Theirs
from streams.transport.offsets import Offsets
from streams.transport.publisher import Publisher

Point = Literal["fenced", "read", "begun", "sent", "offsets", "ending", "ended"]
"""After: the former owner is fenced; offsets are read; a transaction has begun; its records are written; its offsets
are added; its end is on its way and not answered; it has ended and nobody has been told."""

POINTS: tuple[Point, ...] = get_args(Point)

_METHODS: dict[Point, str] = {
    "begun": "begin_transaction",
    "sent": "send_offsets_to_transaction",
    "offsets": "commit_transaction",
    "ended": "commit_transaction",
}
_DIES_BEFORE = ("sent", "offsets")


def plant(point: Point, nth: int) -> None:
    """Make this process die when it gets to *point* for the *nth* time; openings die the first time."""
    if point == "fenced":
        _after(Publisher, "fence")
    elif point == "read":
        _after(Offsets, "read")
    else:
        _around_transactions(point, nth)


def die() -> None:
    """No handler, no finally, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def _after(kind: type, name: str) -> None:
    method: Theirs = getattr(kind, name)

    async def deadly(*arguments: object) -> object:
        answer: object = await method(*arguments)
        die()
        return answer

    setattr(kind, name, deadly)


def _around_transactions(point: Point, nth: int) -> None:
    """Each life of a shard has a producer of its own; all of them together count."""
    left = iter(range(nth - 1, -1, -1))
    fence: Theirs = Publisher.fence

    async def fenced(publisher: Publisher) -> None:
        await fence(publisher)
        producer: Theirs = publisher._producer  # pyright: ignore[reportPrivateUsage]
        if point == "ending":
            _die_while_ending(producer.client, left)
        else:
            _die_at(producer, _METHODS[point], left, before=point in _DIES_BEFORE)

    setattr(Publisher, "fence", fenced)  # noqa: B010 - the type checkers refuse the assignment


def _die_at(producer: Theirs, name: str, left: Iterator[int], *, before: bool) -> None:
    method = getattr(producer, name)

    async def deadly(*arguments: object) -> object:
        last = next(left, 0) == 0
        if last and before:
            die()
        answer: object = await method(*arguments)
        if last:
            die()
        return answer

    setattr(producer, name, deadly)


def _die_while_ending(client: Theirs, left: Iterator[int]) -> None:
    """The request leaves, and is the last thing that does."""
    send = client.send

    async def deadly(node: object, request: object, **options: object) -> object:
        async with asyncio.TaskGroup() as group:
            sending: asyncio.Task[object] = group.create_task(send(node, request, **options))
            if isinstance(request, EndTxnRequest) and next(left, 0) == 0:
                await asyncio.sleep(0.002)
                die()
        return sending.result()

    client.send = deadly
