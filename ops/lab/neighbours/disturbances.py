"""Disturbances by another tenant: floods, unreadable records, cancels, and outputs that no topic accepts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from producers.controls import control_record
from producers.requests import request_record
from schemas.clock import Clock
from schemas.control import Control
from schemas.records import ProducerRecord
from schemas.requests import Request
from schemas.tenants import Limits, Tenant
from schemas.topics import REQUESTS
from streams.transport.writer import Writer

AGENT, SLOW_AGENT = "echo", "assistant"
NOWHERE = "headrace-nowhere"
"""A reply topic that does not exist."""

DEFAULTS = Limits()

SLOW_RATE, SLOW_S = 1.0, 5.0
"""Requests a second of a slow key, and their deadline in seconds, so that they end with their window."""

TEXT_RATE = 4.0
"""Requests a second with a long text: more than the guards can read."""

LONG_TEXT = "\U000e0041a" * 200_000
"""A megabyte that the guards take half a second of CPU time to normalise."""

PLAIN_TEXT = "An honest text. " * 62_500
"""A megabyte that the guards take two milliseconds to normalise."""

STEP_S = 0.02

Make = Callable[[str, int, int], ProducerRecord]
"""A function that builds a record from a tenant, a number and the time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One kind of disturbance, and the limits of the tenant that causes it."""

    name: str
    make: Make
    limits: Limits = DEFAULTS
    interactive: bool = False
    reply_topics: tuple[str, ...] = ()
    rate: float | None = None
    """Records a second; None for a multiple of the tenant's share."""

    def tenant(self, name: str) -> Tenant:
        """Return the tenant that sends these records."""
        return Tenant(
            id=name,
            agents=(AGENT, SLOW_AGENT),
            limits=self.limits,
            interactive=self.interactive,
            reply_topics=self.reply_topics,
        )


def request_of(tenant: str, number: int, now_ms: int) -> ProducerRecord:
    """Return a valid request."""
    request = Request(agent=AGENT, input="hello")
    return request_record(tenant, request, request_id=f"neighbour-{number}", now_ms=now_ms)


def garbage_of(tenant: str, number: int, _now_ms: int) -> ProducerRecord:
    """Return a record that cannot be read, and whose sender cannot get a result."""
    return ProducerRecord(REQUESTS.of(tenant), b"%d" % number, b"\x00 this is no request %d" % number)


def cancel_of(tenant: str, number: int, now_ms: int) -> ProducerRecord:
    """Return a cancel of a request that was never sent."""
    control = Control(kind="cancel", request_id=f"never-{number}")
    return control_record(tenant, control, control_id=f"cancel-{number}", now_ms=now_ms)


def unwritable_of(tenant: str, number: int, now_ms: int) -> ProducerRecord:
    """Return a request whose reply topic does not exist."""
    request = Request(agent=AGENT, input="hello")
    identifier = f"neighbour-{number}"
    return request_record(tenant, request, request_id=identifier, now_ms=now_ms, reply_to=NOWHERE)


def long_text_of(tenant: str, number: int, now_ms: int) -> ProducerRecord:
    """Return a request with a long text."""
    return request_record(
        tenant, Request(agent=AGENT, input=LONG_TEXT), request_id=f"neighbour-{number}", now_ms=now_ms
    )


def plain_text_of(tenant: str, number: int, now_ms: int) -> ProducerRecord:
    """Return a request with a text of the same size that costs the guards nothing."""
    return request_record(
        tenant, Request(agent=AGENT, input=PLAIN_TEXT), request_id=f"neighbour-{number}", now_ms=now_ms
    )


def slow_of(tenant: str, number: int, now_ms: int) -> ProducerRecord:
    """Return a request of one session to an agent with a slow model; it runs until its own deadline."""
    request = Request(agent=SLOW_AGENT, input="hello", session="slow", deadline=SLOW_S)
    return request_record(tenant, request, request_id=f"slow-{number}", now_ms=now_ms)


def disturbances(share_rpm: int) -> tuple[Disturbance, ...]:
    """Return every kind of disturbance.

    A flooding tenant has a share of *share_rpm* requests a minute. Dead letters never stop a tenant's admission here,
    because that would end the disturbance early. The slow key is slow because its model is slow.
    """
    limits = Limits(rpm=share_rpm, max_wait=2, dlq=None)
    return (
        Disturbance("flood", request_of, limits),
        Disturbance("garbage", garbage_of, Limits(dlq=None)),
        Disturbance("cancels", cancel_of, interactive=True),
        Disturbance("slow key", slow_of, rate=SLOW_RATE),
        Disturbance("long texts", long_text_of, rate=TEXT_RATE),
        Disturbance("plain texts", plain_text_of, rate=TEXT_RATE),
        Disturbance("unwritable", unwritable_of, limits, reply_topics=(NOWHERE,)),
    )


@dataclass(slots=True)
class Neighbour:
    """Send the records of a disturbance at an even pace."""

    tenant: Tenant
    disturbance: Disturbance
    writer: Writer
    clock: Clock
    rate: float
    """Records a second."""

    sent: int = 0

    async def bother(self, seconds: float, sink: str | None = None) -> None:
        """Send records for *seconds*, to the topic *sink* instead if it is given.

        No stage reads the sink: it costs the brokers and this machine the same, and the platform nothing.
        """
        began, first = self.clock.monotonic(), self.sent
        async with asyncio.TaskGroup() as tasks:
            while (now := self.clock.monotonic() - began) < seconds:
                while self.sent - first < now * self.rate:
                    tasks.create_task(self._send(sink))
                    self.sent += 1
                await asyncio.sleep(STEP_S)

    async def _send(self, sink: str | None) -> None:
        record = self.disturbance.make(self.tenant.id, self.sent, self.clock.now_ms())
        await self.writer.send(record if sink is None else record._replace(topic=sink))
