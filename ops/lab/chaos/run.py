"""One chaos run: a platform of real processes, load and faults at once, and the resulting loss table."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from ops.background import background
from ops.lab.chaos import oracle
from ops.lab.chaos.agents import RUNS
from ops.lab.chaos.coordinators import Coordinators
from ops.lab.chaos.environment import ChaosEnvironment, chaos_environment
from ops.lab.chaos.evidence import Evidence
from ops.lab.chaos.fault_windows import FaultWindows, unaffected
from ops.lab.chaos.faults import Faults, deck
from ops.lab.chaos.ledger import longest_pause_s, repeated, starts_in
from ops.lab.chaos.load import LoadGenerator, tenants
from ops.lab.chaos.machines import Machines
from ops.lab.chaos.oracle import OracleReport
from ops.lab.chaos.report import ChaosPlan, Report
from ops.lab.chaos.watch import ResultWatch
from ops.lab.chaos.workers import WorkerProcesses
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.clock import Clock, SystemClock
from streams.journey import JourneyName
from streams.transport.admin import Admin
from streams.transport.errors import TransportError
from streams.transport.reader import Reader
from streams.transport.writer import Writer

NAME = "headrace-chaos"
SHARDS = 6
SERVED_S = 90.0
LOOK_S = 1.0
SETTLE_S = 180.0
"""Seconds to settle after the last fault. A request without a result by then counts as lost."""

DEAD = 2
"""Unanswered offset queries in a row, of 30 s each, before the brokers are restarted."""

STAGES: dict[JourneyName, dict[str, int]] = {
    "compact": {"ingress": 2, "agent": 3, "retries": 1},
    "split": {"auth": 2, "guard": 2, "agent": 3, "retries": 1},
}
"""The initial number of processes of each stage."""

log = structlog.get_logger()


async def run(plan: ChaosPlan, settings: Settings, folder: Path) -> Report:
    """Run the plan in *folder*, which keeps the logs. Raise the error of a platform that fails to start."""
    async with chaos_environment(plan.brokers, plan.seed, settings, folder) as environment:
        await Provision(environment.direct, environment.settings, Wish(SHARDS, plan.journey)).apply()
        copies = plan.tenant_copies or plan.brokers
        settings = environment.settings.model_copy(update={"replication_factor": copies})
        await Tenancy(environment.direct, settings).put(*tenants())
        async with _chaos_run(plan, environment, folder, SystemClock()) as scene:
            took = await scene.play()
            return scene.report(await scene.verdict(), took)


@dataclass(slots=True)
class _ChaosRun:
    """The parts of one run."""

    plan: ChaosPlan
    environment: ChaosEnvironment
    folder: Path
    clock: Clock
    evidence: Evidence
    workers: WorkerProcesses
    watch: ResultWatch
    load: LoadGenerator
    faults: Faults
    fault_windows: FaultWindows
    cards: list[str]
    statuses: Counter[str] = field(default_factory=Counter[str])
    unanswered: int = 0
    """Offset queries in a row that no coordinator answered in time, after all faults were over."""

    async def play(self) -> float:
        """Run load and faults until all has settled, and return the seconds it took."""
        async with background(self.watch.run()), self.workers.running():
            await Tenancy(self.environment.direct, self.environment.settings).served(*tenants(), within=SERVED_S)
            began = self.clock.monotonic()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.load.send(self.plan.requests, self.plan.seconds))
                tasks.create_task(self.faults.deal(self.cards, self.plan.seconds))
            await self._settled()
            return self.clock.monotonic() - began

    async def _settled(self) -> None:
        """Wait until all requests have results and all offsets are committed, at most ``SETTLE_S`` seconds."""
        try:
            async with asyncio.timeout(SETTLE_S):
                while not await self._is_settled():  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            log.warning("not_settled", seen=self.watch.seen, requests=self.plan.requests)

    async def _is_settled(self) -> bool:
        if self.watch.seen < self.plan.requests or not self.workers.calm:
            return False
        try:
            behind = await self.evidence.behind()
        except TransportError as error:
            log.info("not_settled_yet", error=str(error))
            self.unanswered += 1
            if self.unanswered == DEAD:
                await self.faults.revive()
            return False
        self.unanswered = 0
        return behind == 0

    async def verdict(self) -> OracleReport:
        """Return the oracle's verdict. Call it once no process writes any more."""
        seen = await self.evidence.results()
        self.statuses.update(each.status for each in seen)
        open_, behind = await self.evidence.open(), await self.evidence.behind()
        return oracle.judge(self.load.ledger.sent, seen, open_=open_, behind=behind)

    def report(self, verdict: OracleReport, took: float) -> Report:
        """Return the loss table."""
        starts = starts_in(self.folder / RUNS)
        stall = unaffected(starts, self.fault_windows.all, self.load.ended_ms)
        return Report(
            plan=self.plan,
            verdict=verdict,
            copies=self.load.ledger.copies,
            cancels=self.load.ledger.cancels,
            statuses=dict(self.statuses),
            runs_repeated=repeated(starts),
            longest_stall_s=round(longest_pause_s(start.at_ms for start in starts), 1),
            longest_stall_unaffected=round(stall.longest_s, 1),
            watched_unaffected_s=round(stall.watched_s, 1),
            worst_gap_s=round(self.watch.worst_gap_ms / 1_000, 1),
            took_s=round(took, 1),
            dealt=dict(self.faults.dealt),
            end_txn_hits=sum(proxy.hits for proxy in self.environment.proxies),
            workers=self.workers.started,
            exits=dict(self.workers.exits),
        )


@asynccontextmanager
async def _chaos_run(
    plan: ChaosPlan, environment: ChaosEnvironment, folder: Path, clock: Clock
) -> AsyncGenerator[_ChaosRun]:
    """Open all connections. Load, workers and faults each have a random generator, so none shifts another's."""

    def chance(part: str) -> random.Random:
        return random.Random(f"{plan.seed} {part}")  # noqa: S311 - to be repeated, not to be guessed

    evidence = Evidence(environment.direct, tenants(), plan.journey, SHARDS)
    workers = WorkerProcesses(dict(STAGES[plan.journey]), folder, environment.environment(), clock, chance("workers"))
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(await Reader.open(environment.direct, [], name=NAME))
        writer = await stack.enter_async_context(await Writer.open(environment.direct, name=NAME))
        admin = await stack.enter_async_context(await Admin.open(environment.direct, name=NAME))
        coordinators = Coordinators(admin, sorted(evidence.groups()), SHARDS)
        machines, fault_windows = Machines(environment.valkey, workers, chance("machines")), FaultWindows(clock)
        yield _ChaosRun(
            plan=plan,
            environment=environment,
            folder=folder,
            clock=clock,
            evidence=evidence,
            workers=workers,
            watch=ResultWatch(reader, evidence.results_of(), clock),
            load=LoadGenerator(writer, clock, chance("load")),
            faults=Faults(
                environment.cluster,
                environment.proxies,
                workers,
                coordinators,
                machines,
                fault_windows,
                chance("faults"),
            ),
            fault_windows=fault_windows,
            cards=deck(plan.faults, plan.seconds, chance("deck")),
        )
