"""Read the cluster after a run: results, the admission log, and the offsets each group has committed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ops.lab.chaos.oracle import Seen, behind
from schemas.admissions import AdmissionEvent
from schemas.records import Partition, Record
from schemas.results import Result
from schemas.tenants import Tenant
from schemas.topics import ADMISSIONS, CONTROL, REQUESTS, RESULTS, tenant_of
from streams.journey import INGRESS_GROUP, INNER_GROUPS, JourneyName, versioned
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.reader import Reader

NAME = "headrace-chaos-oracle"
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The state of one cluster, read directly and not through the chaos proxies."""

    connection: Connection
    tenants: Collection[Tenant]
    journey: JourneyName
    shards: int
    version: int = 1
    """The version of the layout."""

    def groups(self) -> dict[str, list[Partition]]:
        """Return the partitions that each group has to finish."""
        inner = {
            versioned(group, self.version): [
                Partition(topic.name, number) for topic in topics for number in range(self.shards)
            ]
            for group, topics in INNER_GROUPS.items()
            if self.journey == "split" or group != "headrace.guard"
        }
        controls = [
            Partition(CONTROL.of(tenant.id), n) for tenant in self._interactive() for n in range(tenant.partitions)
        ]
        return {versioned(INGRESS_GROUP, self.version): self._partitions(REQUESTS.of) + controls, **inner}

    def _interactive(self) -> list[Tenant]:
        return [tenant for tenant in self.tenants if tenant.interactive]

    def results_of(self) -> list[Partition]:
        """Return the partitions of all results topics."""
        return self._partitions(RESULTS.of)

    async def results(self) -> list[Seen]:
        """Return every committed result; results of one partition are in log order."""
        return [_seen(record) for record in await self._read(self.results_of())]

    async def open(self) -> int:
        """Return the number of requests whose last admission record is open."""
        admissions = [Partition(ADMISSIONS.name, number) for number in range(self.shards)]
        last = {record.key: record.value for record in await self._read(admissions)}
        entries = [AdmissionEvent.model_validate_json(value) for value in last.values() if value is not None]
        return sum(entry.state == "open" for entry in entries)

    async def behind(self) -> int:
        """Return the number of records that their group has not committed."""
        groups = self.groups()
        every = [partition for partitions in groups.values() for partition in partitions]
        ends = await self._ends(every)
        late = 0
        async with await Admin.open(self.connection, name=NAME) as admin:
            for group, partitions in groups.items():
                committed = await admin.committed(group, partitions)
                late += behind(committed, {partition: ends[partition] for partition in partitions})
        return late

    async def _ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        async with await Reader.open(self.connection, [], name=NAME) as reader:
            return await reader.high_watermarks(partitions)

    async def _read(self, partitions: Collection[Partition]) -> list[Record]:
        async with await Reader.open(self.connection, partitions, name=NAME) as reader:
            ends = await reader.high_watermarks()
            return [record async for record in reader.until(ends, PATIENCE_S)]

    def _partitions(self, name_of: Callable[[str], str]) -> list[Partition]:
        return [Partition(name_of(each.id), number) for each in self.tenants for number in range(each.partitions)]


def _seen(record: Record) -> Seen:
    result = Result.model_validate_json(record.value or b"")
    return Seen(tenant_of(record.topic) or "", result.request_id, result.status)
