"""What a neighbour may do to others: floods, records that nobody can read, cancels, outputs that no topic takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from producers.controls import control_record
from producers.requests import request_record
from schemas.clock import Clock
from schemas.control import Control
from schemas.records import Outgoing
from schemas.requests import Request
from schemas.tenants import Limits, Tenant
from schemas.topics import REQUESTS
from streams.transport.writer import Writer

AGENT, SLOW_AGENT = "echo", "assistant"
NOWHERE = "headrace-nowhere"
"""A reply topic that nobody has made."""

DEFAULTS = Limits()

SLOW_RATE, SLOW_S = 1.0, 5.0
"""Of requests of a slow key, a second; and how long each waits or runs, so that a window's are over with it."""

STEP_S = 0.02

Make = Callable[[str, int, int], Outgoing]
"""Of a tenant, a number and the time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind, and what the tenant that makes it may do."""

    name: str
    make: Make
    limits: Limits = DEFAULTS
    interactive: bool = False
    reply_topics: tuple[str, ...] = ()
    rate: float | None = None
    """Records a second, where it is not the many times its share that others send."""

    def tenant(self, name: str) -> Tenant:
        """Whose records these are."""
        return Tenant(
            id=name,
            agents=(AGENT, SLOW_AGENT),
            limits=self.limits,
            interactive=self.interactive,
            reply_topics=self.reply_topics,
        )


def request_of(tenant: str, number: int, now_ms: int) -> Outgoing:
    """Nothing is wrong with it."""
    request = Request(agent=AGENT, input="hello")
    return request_record(tenant, request, request_id=f"neighbour-{number}", now_ms=now_ms)


def garbage_of(tenant: str, number: int, _now_ms: int) -> Outgoing:
    """Nobody can read it, and nobody can be answered."""
    return Outgoing(REQUESTS.of(tenant), b"%d" % number, b"\x00 this is no request %d" % number)


def cancel_of(tenant: str, number: int, now_ms: int) -> Outgoing:
    """Of a request that never came."""
    control = Control(kind="cancel", request_id=f"never-{number}")
    return control_record(tenant, control, control_id=f"cancel-{number}", now_ms=now_ms)


def unwritable_of(tenant: str, number: int, now_ms: int) -> Outgoing:
    """Its answer is to go to a topic that does not exist."""
    request = Request(agent=AGENT, input="hello")
    identifier = f"neighbour-{number}"
    return request_record(tenant, request, request_id=identifier, now_ms=now_ms, reply_to=NOWHERE)


def slow_of(tenant: str, number: int, now_ms: int) -> Outgoing:
    """One session asks the agent whose model takes its time, until the request's own deadline."""
    request = Request(agent=SLOW_AGENT, input="hello", session="slow", deadline=SLOW_S)
    return request_record(tenant, request, request_id=f"slow-{number}", now_ms=now_ms)


def troubles(share_rpm: int) -> tuple[Trouble, ...]:
    """Every kind. A tenant whose share is *share_rpm* requests a minute floods; nobody's door is shut for dead letters,
    which would end the trouble early. The slow key is slow where the model is.
    """
    limits = Limits(rpm=share_rpm, max_wait=2, dlq=None)
    return (
        Trouble("flood", request_of, limits),
        Trouble("garbage", garbage_of, Limits(dlq=None)),
        Trouble("cancels", cancel_of, interactive=True),
        Trouble("slow key", slow_of, rate=SLOW_RATE),
        Trouble("unwritable", unwritable_of, limits, reply_topics=(NOWHERE,)),
    )


@dataclass(slots=True)
class Neighbour:
    """Sends trouble at an even pace."""

    tenant: Tenant
    trouble: Trouble
    writer: Writer
    clock: Clock
    rate: float
    """Records a second."""

    sent: int = 0

    async def bother(self, seconds: float, sink: str | None = None) -> None:
        """Send for that long. With a *sink*, to that topic instead, of which no stage knows: it costs brokers and this
        machine the same, and the platform nothing.
        """
        began, first = self.clock.monotonic(), self.sent
        async with asyncio.TaskGroup() as tasks:
            while (now := self.clock.monotonic() - began) < seconds:
                while self.sent - first < now * self.rate:
                    tasks.create_task(self._send(sink))
                    self.sent += 1
                await asyncio.sleep(STEP_S)

    async def _send(self, sink: str | None) -> None:
        record = self.trouble.make(self.tenant.id, self.sent, self.clock.now_ms())
        await self.writer.send(record if sink is None else record._replace(topic=sink))
