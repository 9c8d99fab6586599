"""A whole deployment as a test runs it: stages in real processes, requests that come all the while, and an oracle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import SecretStr

from ops.lab.chaos.agents import NAME, RUNS
from ops.lab.chaos.evidence import Evidence
from ops.lab.chaos.ledger import LedgerEntry, Start, starts_in
from ops.lab.chaos.load import LoadGenerator, tenants
from ops.lab.chaos.oracle import OracleReport, judge
from ops.lab.chaos.workers import WorkerProcess, WorkerProcesses
from ops.provision import Provision, Wish
from ops.relayout.relayout import Relayout
from ops.settings import Settings, child_environment
from ops.tenancy import Tenancy
from ops.topology import Change
from producers.requests import request_record
from schemas.clock import SystemClock
from schemas.requests import Request
from schemas.tenants import Tenant
from streams.journey import JourneyName
from streams.transport.connection import Connection
from streams.transport.writer import Writer

log = structlog.get_logger()

SERVED_S = 120.0
SETTLED_S = 240.0
LOOK_S = 0.5


@dataclass
class Deployment:
    """Stages, and the load on them."""

    connection: Connection
    journey: JourneyName
    shards: int
    workers: WorkerProcesses
    load: LoadGenerator
    version: int = 1
    more: tuple[Tenant, ...] = ()
    """Tenants beside those of the load."""

    @property
    def evidence(self) -> Evidence:
        """What a fresh reader finds."""
        return Evidence(self.connection, (*tenants(), *self.more), self.journey, self.shards, self.version)

    def of(self, stage: str) -> list[WorkerProcess]:
        """The workers of a stage that count."""
        return [worker for worker in self.workers.all if worker.stage == stage and worker.awake]

    async def relayout(self, shards: int | None = None, journey: JourneyName | None = None) -> list[Change]:
        """Move it, and see to it that the stages of the new journey run."""
        changes = await Relayout(self.connection, Wish(shards, journey), log.info).apply()
        self.version += 1
        self.shards, self.journey = shards or self.shards, journey or self.journey
        return changes

    async def ask(self, tenant: str, request_id: str, sleep_s: float = 0.0) -> None:
        """One request beside the load, whose run takes *sleep_s*."""
        request = Request(agent=NAME, input=request_id, metadata={"sleep": f"{sleep_s:g}"})
        self.load.ledger.sent.append(LedgerEntry(tenant, None, request_id))
        await self.load.writer.send(
            request_record(tenant, request, request_id=request_id, now_ms=self.load.clock.now_ms())
        )

    def opened(self) -> int:
        """How many shards have been opened, by all workers there are."""
        return sum(worker.child.log.read_text().count('"event":"shard_opened"') for worker in self.workers.all)

    async def served(self) -> None:
        """Every tenant has its door."""
        settings = Settings(kafka_bootstrap=self.connection.bootstrap)
        await Tenancy(self.connection, settings).served(*tenants(), within=SERVED_S)

    async def settled(self, count: int) -> OracleReport:
        """What came of *count* requests, once nothing is open or behind, or there has been time enough."""
        end = self.load.clock.monotonic() + SETTLED_S
        while (verdict := await self._verdict()).answered < count or verdict.open or verdict.behind:
            if self.load.clock.monotonic() > end:
                break
            await asyncio.sleep(LOOK_S)
        return verdict

    async def _verdict(self) -> OracleReport:
        evidence = self.evidence
        return judge(
            self.load.ledger.sent,
            await evidence.results(),
            open_=await evidence.open(),
            behind=await evidence.behind(),
        )

    def starts(self) -> list[Start]:
        """Every run that an agent has begun."""
        return starts_in(self.workers.folder / RUNS)


def settings_of(connection: Connection, changes: Mapping[str, str]) -> Settings:
    """Of the operator, who has the stages' seal secret."""
    secret = changes.get("HEADRACE_SEAL_SECRET")
    return Settings(kafka_bootstrap=connection.bootstrap, seal_secret=SecretStr(secret) if secret else None)


@asynccontextmanager
async def deployment(
    connection: Connection, folder: Path, journey: JourneyName, shards: int, wanted: dict[str, int], **changes: str
) -> AsyncGenerator[Deployment]:
    """*wanted* processes of each stage, kept at that number; at the end all of them drain."""
    settings, clock, chance = settings_of(connection, changes), SystemClock(), random.Random(28)
    await Provision(connection, settings, Wish(shards, journey)).apply()
    await Tenancy(connection, settings).put(*tenants())
    environment = child_environment(HEADRACE_KAFKA_BOOTSTRAP=connection.bootstrap, HEADRACE_LOG="json", **changes)
    workers = WorkerProcesses(wanted, folder, environment, clock, chance)
    async with await Writer.open(connection) as writer, workers.running():
        running = Deployment(connection, journey, shards, workers, LoadGenerator(writer, clock, chance))
        await running.served()
        yield running
