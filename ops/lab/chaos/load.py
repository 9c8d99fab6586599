"""The load of a chaos run: requests of several tenants, most in sessions, some sent twice, at an even pace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from ops.lab.chaos import noise
from ops.lab.chaos.agents import NAME
from ops.lab.chaos.ledger import Ledger, LedgerEntry
from producers.controls import control_record
from producers.requests import request_record
from schemas.clock import Clock
from schemas.control import Control
from schemas.records import ProducerRecord
from schemas.requests import Request
from schemas.tenants import Limits, Tenant
from streams.transport.errors import KafkaUnreachableError, OutcomeUnknownError
from streams.transport.writer import Writer

TENANTS = (("north", 1, 64), ("east", 3, 64), ("south", 1, 16), ("west", 2, 8))
"""Name, partitions, and the limit of admitted and unfinished requests."""

MEAN_S = 0.4
LONG_S = 4.0
LONG_SHARE = 0.03
"""Share of runs that outlast a commit interval, the first check of a drain and most rebalances."""

FLAKY_SHARE = 0.01
"""Share of runs whose first attempt fails, so that they pass through a retry topic."""

NOISE_SHARE = 0.15
"""Share of requests from the noisy tenant, whose requests go wrong."""

COPY_SHARE = 0.08
LATE_COPY_SHARE = 0.04
ALONE_SHARE = 0.3
"""Share of requests without a session."""

PER_SESSION = 12
"""Requests of one session, on average."""

DEADLINE_S = 3_600
"""The deadline of a request, in seconds. It is never reached, so a missing result is a lost one."""

log = structlog.get_logger()


def tenants() -> tuple[Tenant, ...]:
    """Return the tenants that send requests."""
    return *(_quiet(*each) for each in TENANTS), noise.TENANT


def _quiet(name: str, partitions: int, concurrency: int) -> Tenant:
    return Tenant(
        id=name,
        agents=(NAME,),
        partitions=partitions,
        limits=Limits(concurrency=concurrency, default_deadline=DEADLINE_S, max_deadline=DEADLINE_S),
    )


@dataclass(slots=True)
class LoadGenerator:
    """Generate and send requests. ``ledger`` records all that the broker has, or may have, accepted."""

    writer: Writer
    clock: Clock
    random: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    ended_ms: int = 0
    """The time after the last request was sent, in milliseconds since the epoch."""

    _records: list[ProducerRecord] = field(default_factory=list[ProducerRecord])

    async def send(self, count: int, seconds: float) -> None:
        """Send *count* requests within *seconds*, or later if the broker is slow."""
        began = self.clock.monotonic()
        async with asyncio.TaskGroup() as cancels:
            for number, (sent, record, cancel_after_s) in enumerate(self._made_up(count)):
                await asyncio.sleep(max(0.0, began + seconds * number / count - self.clock.monotonic()))
                self.ledger.sent.append(sent)
                self._records.append(record)
                for each in [record, *self._copies(record)]:
                    await self._written(each)
                if cancel_after_s is not None:
                    cancels.create_task(self._cancel(sent, cancel_after_s))
        self.ended_ms = self.clock.now_ms()

    async def _cancel(self, sent: LedgerEntry, after_s: float) -> None:
        """Cancel the request after a delay, as a client may."""
        await asyncio.sleep(after_s)
        self.ledger.cancels += 1
        control, now_ms = Control(request_id=sent.request_id, kind="cancel"), self.clock.now_ms()
        control_id = f"cancel-{sent.request_id}"
        await self._written(control_record(sent.tenant, control, control_id=control_id, now_ms=now_ms))

    def _copies(self, record: ProducerRecord) -> Sequence[ProducerRecord]:
        """Return copies to send: this record, an older one, or none. The admission controller must detect both."""
        copies = [record] if self.random.random() < COPY_SHARE else []
        if self.random.random() < LATE_COPY_SHARE:
            copies.append(self.random.choice(self._records))
        self.ledger.copies += len(copies)
        return copies

    def _made_up(self, count: int) -> Iterator[tuple[LedgerEntry, ProducerRecord, float | None]]:
        """Yield each request, its record, and the seconds until its cancel or None."""
        names = [name for name, *_ in TENANTS]
        sessions = max(1, count // (PER_SESSION * len(names)))
        for number in range(count):
            if self.random.random() < NOISE_SHARE:
                record, may, cancel_after_s = noise.noise(f"r{number}", self.random, self.clock.now_ms())
                yield LedgerEntry(noise.NOISY, None, f"r{number}", may), record, cancel_after_s
                continue
            tenant = self.random.choice(names)
            alone = self.random.random() < ALONE_SHARE
            session = None if alone else f"s{self.random.randrange(sessions)}"
            sent = LedgerEntry(tenant, session, f"r{number}")
            yield sent, self._record(sent), None

    def _record(self, sent: LedgerEntry) -> ProducerRecord:
        """Return the record as a client writes it."""
        long = self.random.random() < LONG_SHARE
        sleep = LONG_S if long else min(LONG_S, self.random.expovariate(1 / MEAN_S))
        metadata = {"sleep": f"{sleep:.3f}"}
        if self.random.random() < FLAKY_SHARE:
            metadata |= {"fail": "model_overloaded", "fail_times": "1"}
        request = Request(agent=NAME, input=sent.request_id, session=sent.session, metadata=metadata)
        return request_record(sent.tenant, request, request_id=sent.request_id, now_ms=self.clock.now_ms())

    async def _written(self, record: ProducerRecord) -> None:
        """Send the record until the broker confirms it. A duplicate does no harm."""
        while True:
            try:
                await self.writer.send(record)
            except (KafkaUnreachableError, OutcomeUnknownError) as error:
                self.ledger.copies += 1
                log.info("sent_again", error=str(error))
            else:
                return
