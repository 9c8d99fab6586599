"""The noisy tenant: its requests are cancelled, expire, are refused, and have outputs that no topic takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from ops.chaos.agents import NAME
from producers.requests import request_record
from schemas.records import Outgoing
from schemas.requests import Request
from schemas.tenants import Limits, Tenant

NOISY = "noisy"
NOWHERE = "chaos-nowhere"
"""A topic that the tenant may have its results on, and that does not exist."""

DEADLINE_S = 3_600
TENANT = Tenant(
    id=NOISY,
    agents=(NAME,),
    interactive=True,
    reply_topics=(NOWHERE,),
    limits=Limits(rpm=120, concurrency=8, max_wait=15, default_deadline=DEADLINE_S, max_deadline=DEADLINE_S),
)
"""What is over its rate waits a quarter of a minute, and is refused."""

HUGE = 1_500_000
"""Characters of an answer that no topic of a tenant takes."""


class Noise(NamedTuple):
    """One request that should not succeed."""

    record: Outgoing
    may: frozenset[str]
    cancel_after_s: float | None = None


def noise(request_id: str, chance: random.Random, now_ms: int) -> Noise:
    """Any kind of it."""
    made: Callable[[str, random.Random, int], Noise] = chance.choice(_KINDS)
    return made(request_id, chance, now_ms)


def _noise(request_id: str, now_ms: int, *may: str, reply_to: str | None = None, **fields: object) -> Noise:
    """Each of them may also be refused: the tenant sends more than its rate allows."""
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
