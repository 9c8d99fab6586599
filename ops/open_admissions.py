"""The open admissions of one tenant, read from the admission log."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from schemas.admissions import AdmissionEvent, AdmissionKey
from schemas.records import Partition, Record
from schemas.topics import ADMISSIONS, shard_of
from streams.transport.connection import Connection
from streams.transport.reader import Reader

NAME = "headrace-open-admissions"
READ_S = 120.0
"""Seconds that one reading of the partition may take; it holds the records of three days."""

log = structlog.get_logger()


@dataclass(slots=True)
class OpenAdmissions:
    """The admissions of *tenant* that no stage has closed."""

    tenant: str
    reader: Reader
    partition: Partition
    found: dict[str, AdmissionKey] = field(default_factory=dict[str, AdmissionKey])
    """The open admissions by their key in the log, as of the last reading."""

    async def read(self) -> dict[str, AdmissionKey]:
        """Read the records that were written before the call, and return the open admissions."""
        async for record in self.reader.until(await self.reader.high_watermarks(), READ_S):
            self._apply(record)
        return self.found

    def _apply(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        if key.partition("|")[0] != self.tenant:
            return
        try:
            event = AdmissionEvent.model_validate_json(record.value) if record.value is not None else None
        except ValidationError:
            log.warning("admission_record_unreadable", position=record.position)
            return
        if event is not None and event.state == "open" and event.admission is not None:
            self.found[key] = event.admission
        else:
            self.found.pop(key, None)


@asynccontextmanager
async def open_admissions(connection: Connection, tenant: str, shards: int) -> AsyncGenerator[OpenAdmissions]:
    """Yield the open admissions of *tenant*, not read yet."""
    partition = Partition(ADMISSIONS.name, shard_of(tenant, shards))
    async with await Reader.open(connection, [partition], name=NAME) as reader:
        yield OpenAdmissions(tenant, reader, partition)
