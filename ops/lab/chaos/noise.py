"""The noisy tenant: its requests are cancelled, expire, are refused, or have outputs that no topic accepts."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from ops.lab.chaos.agents import NAME
from producers.requests import request_record
from schemas.records import ProducerRecord
from schemas.requests import Request
from schemas.tenants import Limits, Tenant

NOISY = "noisy"
NOWHERE = "chaos-nowhere"
"""A reply topic that the tenant may use but that does not exist."""

DEADLINE_S = 3_600
TENANT = Tenant(
    id=NOISY,
    agents=(NAME,),
    interactive=True,
    reply_topics=(NOWHERE,),
    limits=Limits(rpm=120, concurrency=8, max_wait=15, default_deadline=DEADLINE_S, max_deadline=DEADLINE_S),
)
"""Requests over the tenant's rate wait 15 seconds, and are then refused."""

HUGE = 1_500_000
"""Characters of an output that no topic of a tenant accepts."""


class Noise(NamedTuple):
    """One request of the noisy tenant, with the statuses that its result may have."""

    record: ProducerRecord
    may: frozenset[str]
    cancel_after_s: float | None = None


def noise(request_id: str, chance: random.Random, now_ms: int) -> Noise:
    """Return a request of a random kind."""
    made: Callable[[str, random.Random, int], Noise] = chance.choice(_KINDS)
    return made(request_id, chance, now_ms)


def _noise(request_id: str, now_ms: int, *may: str, reply_to: str | None = None, **fields: object) -> Noise:
    """Return a request that may also be refused, because the tenant sends more than its rate allows."""
    request = Request.model_validate({"agent": NAME, "input": request_id, **fields})
    record = request_record(NOISY, request, request_id=request_id, now_ms=now_ms, reply_to=reply_to)
    return Noise(record, frozenset({"refused", *may}))


def _plain(request_id: str, chance: random.Random, now_ms: int) -> Noise:
    sleep = f"{chance.expovariate(5):.3f}"
    return _noise(request_id, now_ms, "succeeded", metadata={"sleep": sleep})


def _cancelled(request_id: str, chance: random.Random, now_ms: int) -> Noise:
    made = _noise(request_id, now_ms, "succeeded", "cancelled", metadata={"sleep": "3"})
    return made._replace(cancel_after_s=chance.uniform(0.0, 3.5))


def _expired(request_id: str, _: random.Random, now_ms: int) -> Noise:
    return _noise(request_id, now_ms, "succeeded", "expired", deadline=2.0, metadata={"sleep": "3"})


def _huge(request_id: str, _: random.Random, now_ms: int) -> Noise:
    return _noise(request_id, now_ms, "failed", metadata={"times": str(HUGE // len(request_id))})


def _nowhere(request_id: str, _: random.Random, now_ms: int) -> Noise:
    return _noise(request_id, now_ms, "failed", reply_to=NOWHERE)


def _failing(request_id: str, _: random.Random, now_ms: int) -> Noise:
    return _noise(request_id, now_ms, "failed", metadata={"fail": "model_rejected"})


_KINDS = (_plain, _cancelled, _expired, _huge, _nowhere, _failing)
