"""The registry of tenants and the layout, read from the topic ``platform.tenants``.

It is read to its end at start, and followed from then on.
"""

from __future__ import annotations

import asyncio

import structlog
from pydantic import ValidationError

from schemas.errors import InternalError
from schemas.records import Partition, Record
from schemas.tenants import (
    LAYOUT_KEY,
    SEAL_KEY,
    SEAL_KEYS_KEY,
    DlqLimit,
    Layout,
    RegistryRecord,
    SealKeys,
    SealSecret,
    Tenant,
)
from schemas.topics import TENANTS
from streams.transport.errors import KafkaUnreachableError
from streams.transport.reader import Reader

log = structlog.get_logger()

PATIENCE_S = 10.0
"""The time for which a stage waits for a tenant that another stage already knows."""

AT_THE_END_S = 0.05
"""The wait of one poll at start. The log ends in a transaction marker, which no poll returns. Only an empty poll shows
that the end is reached."""

LOAD_S = 60.0
"""The time for all records of the registry."""

FOLLOW_S = 0.2
"""The wait of one poll while following. A shard that opens waits this long if the registry was written just before."""

PARTITION = Partition(TENANTS.name, 0)


class TenantRegistry:
    """The latest record of each key. An unreadable record is logged, and the previous one stays."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.layout: Layout | None = None
        self.secret: SealSecret | None = None
        self.seal_keys: SealKeys | None = None
        self.version = 0
        """The number of records applied."""

        self._news = asyncio.Event()
        self._agents: tuple[int, frozenset[str]] = (0, frozenset())

    def agents(self) -> frozenset[str]:
        """Return every agent that at least one tenant may call."""
        if self._agents[0] != self.version:  # called for each refused request, so a flood of them calls it often
            every = frozenset(agent for tenant in self.tenants.values() for agent in tenant.agents)
            self._agents = self.version, every
        return self._agents[1]

    def limit_of(self, name: str) -> DlqLimit | None:
        """Return the tenant's limit for dead letters; None if it has no limit or is unknown."""
        known = self.tenants.get(name)
        return known.limits.dlq if known is not None else None

    async def tenant(self, name: str) -> Tenant:
        """Return the tenant's record. Raise InternalError if it does not appear within ten seconds."""
        if (known := self.tenants.get(name)) is not None:
            return known
        try:
            async with asyncio.timeout(PATIENCE_S):
                while name not in self.tenants:
                    await self.changed()
        except TimeoutError as error:
            message = f"the tenant {name} is not in the registry"
            raise InternalError(message) from error
        return self.tenants[name]

    async def changed(self) -> None:
        """Wait until the next record is applied."""
        await self._news.wait()

    def apply(self, record: Record) -> None:
        """Apply one record of the log."""
        key = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self._remove(key)
        else:
            self._put(key, record)
        self.version += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _put(self, key: str, record: Record) -> None:
        try:
            entry = RegistryRecord.model_validate_json(record.value or b"")
        except ValidationError as error:
            log.error(  # noqa: TRY400 - the traceback would hold content
                "registry_record_unreadable", key=key, position=record.position, faults=error.error_count()
            )
            return
        if entry.key != key:
            log.error("registry_key_mismatched", key=key, position=record.position)
            return
        match entry.root:
            case Tenant() as tenant:
                self.tenants[tenant.id] = tenant
            case Layout() as layout:
                self.layout = layout
            case SealSecret() as secret:
                self.secret = secret
            case SealKeys() as seal_keys:
                self.seal_keys = seal_keys

    def _remove(self, key: str) -> None:
        self.tenants.pop(key, None)
        if key == LAYOUT_KEY:
            self.layout = None
        if key == SEAL_KEY:
            self.secret = None
        if key == SEAL_KEYS_KEY:
            self.seal_keys = None

    async def load(self, reader: Reader, within_s: float = LOAD_S) -> None:
        """Read all records that were written before the call. Raises KafkaUnreachableError after *within_s* seconds."""
        end = (await reader.high_watermarks([PARTITION]))[PARTITION]
        try:
            async with asyncio.timeout(within_s):
                while reader.position(PARTITION) < end:
                    await self.take(reader, AT_THE_END_S)
        except TimeoutError:
            raise KafkaUnreachableError(f"the leader of {PARTITION}", f"no records for {within_s:g} s") from None

    async def follow(self, reader: Reader) -> None:
        """Apply new records until cancelled."""
        while True:
            await self.take(reader, FOLLOW_S)

    async def take(self, reader: Reader, within_s: float = 1.0) -> None:
        """Apply the next records. Return after *within_s* seconds if there are none."""
        for record in await reader.poll(within_s):
            self.apply(record)
