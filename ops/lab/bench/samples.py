"""Records of the size of a usual request: a kilobyte of JSON and ten headers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from itertools import cycle

from producers.requests import request_record
from schemas.clock import SystemClock
from schemas.records import HeaderList, ProducerRecord
from schemas.requests import Request

KEYS = 5_000
WORDS = "x" * 620

_BODY = {
    "session": "s-000000",
    "task": "summarise",
    "input": {"messages": [{"role": "user", "content": WORDS}]},
    "budget": {"tokens": 4_000, "usd": 0.05},
    "tools": ["search", "calendar", "crm.lookup"],
    "deadline": "2026-01-01T00:00:00.000000Z",
    "meta": {"locale": "en-GB", "channel": "web", "priority": 3, "flags": [True, False, None], "trace": "0" * 32},
}


def events(topic: str, count: int, keys: int = KEYS) -> Iterator[ProducerRecord]:
    """Yield *count* records as any client may write them, under *keys* keys in turn."""
    value = json.dumps(_BODY).encode()
    for number in range(count):
        yield ProducerRecord(topic, b"acme|%06d" % (number % keys), value, _headers(number))


def _headers(number: int) -> HeaderList:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"%032x" % number),
        ("ce_source", b"/shop/gateway"),
        ("ce_type", b"com.example.agent.request.v1"),
        ("ce_time", b"2026-01-01T00:00:00.000000Z"),
        ("ce_subject", b"s-%06d" % (number % 1_000)),
        ("content-type", b"application/json"),
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tenant", b"acme-%03d" % (number % 50)),
        ("authorization", b"Bearer " + b"A" * 120),
    )


def requests(tenants: Sequence[str], agent: str = "echo") -> Iterator[ProducerRecord]:
    """Yield requests of *tenants* in turn, without end. Each request is unique, across calls too."""
    request, call, now_ms = Request(agent=agent, input=WORDS), uuid.uuid4().hex[:12], SystemClock().now_ms()
    for number, tenant in enumerate(cycle(tenants)):
        yield request_record(tenant, request, request_id=f"{call}-{number}", now_ms=now_ms)


def asked(topic: str) -> Iterator[ProducerRecord]:
    """Yield the same requests, on a topic that belongs to no tenant."""
    for record in requests(("nobody",)):
        yield record._replace(topic=topic)
