"""The tenants and the layout, as ``platform.tenants`` has them: read to its end at start, followed from then on."""

from __future__ import annotations

import asyncio

import structlog
from pydantic import ValidationError

from schemas.errors import InternalError
from schemas.records import Partition, Record
from schemas.tenants import LAYOUT_KEY, SEAL_KEY, DlqLimit, Layout, RegistryRecord, SealSecret, Tenant
from schemas.topics import TENANTS
from streams.transport.reader import Reader

log = structlog.get_logger()

PATIENCE_S = 10.0
"""How long a stage waits for a tenant that another stage knows already."""

AT_THE_END_S = 0.05
"""The log ends in a transaction's marker, which no poll returns: that is seen when a poll has waited in vain."""

FOLLOW_S = 0.2
"""Of one look while nothing comes. A shard that opens waits for it, if the registry has just been written."""

PARTITION = Partition(TENANTS.name, 0)


class Registry:
    """The latest record of each key. A record that cannot be read keeps the one before it, and is logged."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.layout: Layout | None = None
        self.secret: SealSecret | None = None
        self.version = 0
        """Counts the records taken up."""

        self._news = asyncio.Event()
        self._agents: tuple[int, frozenset[str]] = (0, frozenset())

    def agents(self) -> frozenset[str]:
        """Every agent that some tenant may call."""
        if self._agents[0] != self.version:  # asked for each refused request, so a flood of them asks often
            every = frozenset(agent for tenant in self.tenants.values() for agent in tenant.agents)
            self._agents = self.version, every
        return self._agents[1]

    def spoils(self, name: str) -> DlqLimit | None:
        """How much of what the tenant sends may become dead letters; None: as much as it likes, or nobody knows it."""
        known = self.tenants.get(name)
        return known.limits.dlq if known is not None else None

    async def tenant(self, name: str) -> Tenant:
        """The tenant's record; InternalError if it does not turn up in ten seconds."""
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
        """Wait for the next record that is taken up."""
        await self._news.wait()

    def apply(self, record: Record) -> None:
        """Take up one record of the log."""
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
            log.error("registry_key_wrong", key=key, position=record.position)
            return
        match entry.root:
            case Tenant() as tenant:
                self.tenants[tenant.id] = tenant
            case Layout() as layout:
                self.layout = layout
            case SealSecret() as secret:
                self.secret = secret

    def _remove(self, key: str) -> None:
        self.tenants.pop(key, None)
        if key == LAYOUT_KEY:
            self.layout = None
        if key == SEAL_KEY:
            self.secret = None

    async def load(self, reader: Reader) -> None:
        """Read up to what was written before the call."""
        end = (await reader.high_watermarks([PARTITION]))[PARTITION]
        while reader.position(PARTITION) < end:
            await self.take(reader, AT_THE_END_S)

    async def follow(self, reader: Reader) -> None:
        """Go on reading, until cancelled."""
        while True:
            await self.take(reader, FOLLOW_S)

    async def take(self, reader: Reader, within_s: float = 1.0) -> None:
        """Take up what comes next; returns after *within_s* if nothing does."""
        for record in await reader.poll(within_s):
            self.apply(record)
