"""Places around a transaction at which a worker process can be made to die, as by SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Literal, get_args

from streams.transport.aiokafka_types import Untyped
from streams.transport.brokers import Brokers
from streams.transport.offsets import Offsets
from streams.transport.protocol.encoding import ApiRequest
from streams.transport.protocol.requests import END_TXN, PRODUCE, TXN_OFFSET_COMMIT
from streams.transport.transactional_producer import TransactionalProducer

Point = Literal["fenced", "read", "begun", "sent", "offsets", "ending", "ended"]
"""After: the former owner is fenced; offsets are read; a transaction is about to write; its records are written; its
offsets are committed with it; its end is on its way and not answered; it has ended and nobody has been told."""

POINTS: tuple[Point, ...] = get_args(Point)

_REQUESTS: dict[Point, int] = {
    "begun": PRODUCE,
    "sent": TXN_OFFSET_COMMIT,
    "offsets": END_TXN,
    "ending": END_TXN,
    "ended": END_TXN,
}


def plant(point: Point, nth: int) -> None:
    """Make this process die when it gets to *point* for the *nth* time; openings die the first time."""
    if point == "fenced":
        _after(TransactionalProducer, "fence")
    elif point == "read":
        _after(Offsets, "read")
    else:
        _around_transactions(point, nth)


def die() -> None:
    """No handler, no finally, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def _after(kind: type, name: str) -> None:
    method: Untyped = getattr(kind, name)

    async def deadly(*arguments: object) -> object:
        answer: object = await method(*arguments)
        die()
        return answer

    setattr(kind, name, deadly)


def _around_transactions(point: Point, nth: int) -> None:
    """Each life of a shard has a publisher of its own; all of them together count."""
    left = iter(range(nth - 1, -1, -1))
    send: Untyped = Brokers.send

    async def deadly(brokers: Brokers, node: int, request: ApiRequest[Untyped], group: Untyped) -> object:
        strikes = request.key == _REQUESTS[point] and next(left, 0) == 0
        if not strikes:
            return await send(brokers, node, request, group)
        if point == "ending":
            return await _die_on_the_way(send(brokers, node, request, group))
        if point == "ended":
            await send(brokers, node, request, group)
        die()
        return None

    setattr(Brokers, "send", deadly)  # noqa: B010 - the type checkers refuse the assignment


async def _die_on_the_way(sending: Coroutine[object, object, object]) -> object:
    """The request leaves, and is the last thing that does."""
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(sending)
        await asyncio.sleep(0.002)
        die()
    return answer.result()
