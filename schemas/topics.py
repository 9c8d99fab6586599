"""Every topic of the platform: name, payload and settings. No other module spells a topic's name."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel

from schemas.admissions import AdmissionEvent
from schemas.control import Control, RunControl
from schemas.events import Event
from schemas.requests import Request
from schemas.results import Result
from schemas.stage_records import Authorized, Screened
from schemas.tenants import TENANT_ID, RegistryRecord
from schemas.usage import UsageRecord

T = TypeVar("T", bound=BaseModel)

EDGE_VALUE_LIMIT = 1024 * 1024
EDGE_HEADERS_LIMIT = 64 * 1024
EDGE_HEADER_COUNT = 64
EDGE_RECORD_LIMIT = EDGE_VALUE_LIMIT + EDGE_HEADERS_LIMIT + 64 * 1024
"""Bytes of a whole edge record: key, value and headers, with room for the platform's additions to a result."""

CONTROL_VALUE_LIMIT = 64 * 1024
"""Bytes of a control record's value."""

_FRAME = 64 * 1024
"""Bytes that a record batch adds: length fields, and small records beside the largest."""

INNER_LIMIT = 4 * EDGE_VALUE_LIMIT
"""Bytes of a record between stages: the request, the screened text, and the findings of each stage."""

DEAD_LETTER_LIMIT = INNER_LIMIT + 128 * 1024
"""Bytes of a dead letter: the largest record of the platform and its reason."""

HOUR_MS = 3_600_000
REQUEST_RETENTION_MS = 72 * HOUR_MS
"""Retention of requests: covers an outage of a weekend. The admission memory must reach further back."""

RETENTION_MS = 7 * 24 * HOUR_MS
"""Retention of all other topics that are not kept forever."""

USAGE_RETENTION_MS = 92 * 24 * HOUR_MS
"""Retention of usage records: a quarter, so that a bill can be made again."""

Partitions: TypeAlias = Literal["shards", "edge", "one"]


@dataclass(frozen=True, slots=True)
class Topic(Generic[T]):
    """A topic and the type of its records. The ``name`` of a tenant's topic contains ``{tenant}``."""

    name: str
    payload: type[T] | None
    partitions: Partitions
    config: Mapping[str, str] = field(default_factory=dict, hash=False)

    def of(self, tenant: str) -> str:
        """Return the name of this topic for *tenant*."""
        return self.name.replace("{tenant}", tenant)

    @property
    def per_tenant(self) -> bool:
        """True if each tenant has its own topic."""
        return "{tenant}" in self.name


def _edge(retention_ms: int = RETENTION_MS, limit: int = EDGE_RECORD_LIMIT) -> dict[str, str]:
    return {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(retention_ms),
        "max.message.bytes": str(limit + _FRAME),
    }


def _open(retention_ms: int = RETENTION_MS, limit: int = EDGE_RECORD_LIMIT) -> dict[str, str]:
    """Return the settings of topics that clients write to. The broker stores batches as they came.

    A broker that stores them uncompressed unpacks each batch in its memory: 97 bytes that claim two gigabytes, or a
    bomb of 200 KB, end a broker of 512 MB. The readers unpack within bounds (``streams/transport/batch_bounds.py``).
    """
    return _edge(retention_ms, limit) | {"compression.type": "producer"}


def _inner(limit: int = INNER_LIMIT, **config: str) -> dict[str, str]:
    return {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(RETENTION_MS),
        "max.message.bytes": str(limit + _FRAME),
    } | {name.replace("_", "."): value for name, value in config.items()}


REQUESTS = Topic("tenants.{tenant}.requests", Request, "edge", _open(REQUEST_RETENTION_MS))
RESULTS = Topic("tenants.{tenant}.results", Result, "edge", _edge())
EVENTS = Topic("tenants.{tenant}.events", Event, "edge", _edge())
CONTROL = Topic("tenants.{tenant}.control", Control, "edge", _open(limit=CONTROL_VALUE_LIMIT + EDGE_HEADERS_LIMIT))
AUTHORIZED = Topic("platform.authorized", Authorized, "shards", _inner())
SCREENED = Topic("platform.screened", Screened, "shards", _inner())
ADMISSIONS = Topic(
    "platform.admissions",
    AdmissionEvent,
    "shards",
    _inner(cleanup_policy="compact,delete", segment_ms=str(HOUR_MS), min_cleanable_dirty_ratio="0.1"),
)
RUN_CONTROL = Topic("platform.control", RunControl, "one", _inner())
RETRIES_10S = Topic("platform.retries.10s", Screened, "shards", _inner())
RETRIES_1M = Topic("platform.retries.1m", Screened, "shards", _inner())
RETRIES_10M = Topic("platform.retries.10m", Screened, "shards", _inner())
DEAD_LETTERS: Topic[BaseModel] = Topic(
    "platform.dead-letters", None, "shards", _inner(DEAD_LETTER_LIMIT, cleanup_policy="compact,delete")
)
USAGE = Topic("platform.usage", UsageRecord, "shards", _inner(retention_ms=str(USAGE_RETENTION_MS)))
SHARDS: Topic[BaseModel] = Topic("platform.shards", None, "shards", _inner())
TENANTS = Topic("platform.tenants", RegistryRecord, "one", {"cleanup.policy": "compact", "segment.ms": str(HOUR_MS)})

PLATFORM = (
    AUTHORIZED,
    SCREENED,
    ADMISSIONS,
    RUN_CONTROL,
    RETRIES_10S,
    RETRIES_1M,
    RETRIES_10M,
    DEAD_LETTERS,
    USAGE,
    SHARDS,
    TENANTS,
)
INTERNAL = ("__consumer_offsets", "__transaction_state")
"""The brokers' own topics, which hold offsets and the state of transactions."""

PER_TENANT = (REQUESTS, RESULTS)
PER_INTERACTIVE_TENANT = (EVENTS, CONTROL)
RETRY_TIERS: tuple[tuple[float, Topic[Screened]], ...] = ((10, RETRIES_10S), (60, RETRIES_1M), (600, RETRIES_10M))
"""Delay in seconds and topic of each retry tier, shortest first."""

_TENANT_TOPIC = re.compile(rf"tenants\.({TENANT_ID})\.(requests|results|events|control)")


@lru_cache(maxsize=16_384)
def tenant_of(topic: str) -> str | None:
    """Return the tenant that owns the topic, or None. The topic of a record determines its tenant."""
    match = _TENANT_TOPIC.fullmatch(topic)
    return match[1] if match else None


def partition_of(key: bytes, count: int) -> int:
    """Return the partition of *key*: CRC-32 modulo *count*. All writers of a keyed platform topic use it."""
    return zlib.crc32(key) % count


def shard_of(tenant: str, shards: int) -> int:
    """Return the shard that decides the tenant's admission."""
    return partition_of(tenant.encode(), shards)
