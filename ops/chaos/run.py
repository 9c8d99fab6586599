"""One run of chaos: a cluster, a platform of real processes, load and faults at once, and the table of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from ops.background import background
from ops.chaos import oracle
from ops.chaos.agents import RUNS
from ops.chaos.coordinators import Coordinators
from ops.chaos.evidence import Evidence
from ops.chaos.faults import Faults, deck
from ops.chaos.ledger import longest_pause_s, repeated, starts_in
from ops.chaos.load import Load, tenants
from ops.chaos.oracle import Verdict
from ops.chaos.proxy import Proxy
from ops.chaos.watch import Watch
from ops.chaos.workers import Workers
from ops.embedded.cluster import Cluster, Place, embedded_cluster
from ops.embedded.valkey import embedded_valkey
from ops.provision import Provision, Wish
from ops.settings import Settings, cache_folder, child_environment, maven_folder
from ops.tenancy import Tenancy
from schemas.clock import SystemClock
from streams.journey import JourneyName
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.errors import TransportError
from streams.transport.reader import Reader
from streams.transport.writer import Writer

NAME = "headrace-chaos"
SHARDS = 6
SERVED_S = 90.0
LOOK_S = 1.0
SETTLE_S = 180.0
"""For what is left once the faults are over; what is not answered by then counts as lost."""

STAGES: dict[JourneyName, dict[str, int]] = {
    "compact": {"admission": 2, "agent": 3, "retries": 1},
    "split": {"auth": 2, "guard": 2, "agent": 3, "retries": 1},
}
"""How many processes each stage begins with."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and with which chance."""

    seed: int
    requests: int
    minutes: float
    brokers: int
    journey: JourneyName
    faults: tuple[str, ...]
    """Kinds, each of ``faults.WEIGHTS``."""


@dataclass(frozen=True, slots=True)
class Report:
    """The loss table of one run."""

    plan: Plan
    verdict: Verdict
    copies: int
    runs_repeated: int
    longest_stall_s: float
    """In which no worker started a run, from the first to the last that was started."""

    worst_gap_s: float
    """From the broker's stamp on a result until a reader along the way saw it, an absent broker counted in."""

    took_s: float
    """Until the last request was settled."""

    dealt: dict[str, int]
    end_txn_hits: int
    workers: int
    """Processes that were started in all."""

    exits: dict[int, int]

    def row(self) -> dict[str, Any]:
        """As one JSON object."""
        flat = {name: value for name, value in asdict(self).items() if name not in {"plan", "verdict"}}
        return {**asdict(self.plan), **asdict(self.verdict), **flat, "clean": self.verdict.clean}


@dataclass(slots=True)
class Ground:
    """What a run stands on, once it is up."""

    cluster: Cluster
    proxies: list[Proxy]
    settings: Settings
    """With which workers reach it, through the proxies."""

    direct: Connection
    """Past the proxies."""


async def run(plan: Plan, settings: Settings, folder: Path) -> Report:
    """Do it all in *folder*, which keeps the logs. Raises what a cluster that does not come up raises."""
    clock = SystemClock()
    async with _ground(plan, settings, folder) as ground, AsyncExitStack() as stack:
        await Provision(ground.direct, ground.settings, Wish(SHARDS, plan.journey)).apply()
        tenancy = Tenancy(ground.direct, ground.settings)
        await tenancy.put(*tenants())
        evidence = Evidence(ground.direct, tenants(), plan.journey, SHARDS)
        environment = _environment(ground.settings)
        chance = random.Random(plan.seed)  # noqa: S311 - to be repeated, not to be guessed
        workers = Workers(dict(STAGES[plan.journey]), folder, environment, clock, random.Random(chance.random()))  # noqa: S311
        reader = await stack.enter_async_context(await Reader.open(ground.direct, [], name=NAME))
        watch = Watch(reader, evidence.results_of(), clock)
        writer = await stack.enter_async_context(await Writer.open(ground.direct, name=NAME))
        load = Load(writer, clock, random.Random(chance.random()))  # noqa: S311
        admin = await stack.enter_async_context(await Admin.open(ground.direct, name=NAME))
        coordinators = Coordinators(admin, sorted(evidence.groups()), SHARDS)
        faults = Faults(ground.cluster, ground.proxies, workers, coordinators, clock, random.Random(chance.random()))  # noqa: S311
        async with background(watch.run()), workers.running():
            await tenancy.served(*tenants(), within=SERVED_S)
            began = clock.monotonic()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.send(plan.requests, plan.minutes * 60))
                tasks.create_task(faults.deal(deck(plan.faults, plan.minutes * 60, chance), plan.minutes * 60))
            await _settled(evidence, watch, workers, plan.requests)
            took = clock.monotonic() - began
        verdict = oracle.judge(
            load.ledger.sent, await evidence.results(), open_=await evidence.open(), behind=await evidence.behind()
        )
    starts = starts_in(folder / RUNS)
    return Report(
        plan=plan,
        verdict=verdict,
        copies=load.ledger.copies,
        runs_repeated=repeated(starts),
        longest_stall_s=round(longest_pause_s(start.at_ms for start in starts), 1),
        worst_gap_s=round(watch.worst_gap_ms / 1_000, 1),
        took_s=round(took, 1),
        dealt=dict(faults.dealt),
        end_txn_hits=sum(proxy.hits for proxy in ground.proxies),
        workers=workers.started,
        exits=dict(workers.exits),
    )


@asynccontextmanager
async def _ground(plan: Plan, settings: Settings, folder: Path) -> AsyncGenerator[Ground]:
    """A cluster of its own behind a proxy for each broker, and a Valkey."""
    async with AsyncExitStack() as stack:
        chance = random.Random(plan.seed)  # noqa: S311
        proxies = [Proxy(0, random.Random(chance.random())) for _ in range(plan.brokers)]  # noqa: S311
        for proxy in proxies:
            await stack.enter_async_context(proxy.listening())
        places = [Place.free(proxy.port) for proxy in proxies]
        for proxy, place in zip(proxies, places, strict=True):
            proxy.upstream = place.client
        cluster = await stack.enter_async_context(_cluster(folder, places, settings))
        valkey = await stack.enter_async_context(embedded_valkey(folder / "valkey"))
        changes = {"kafka_bootstrap": cluster.bootstrap, "replication_factor": min(3, plan.brokers)}
        found = settings.model_copy(update={**changes, "valkey_url": SecretStr(valkey.url)})
        yield Ground(cluster, proxies, found, Connection(cluster.inner))


def _cluster(folder: Path, places: Sequence[Place], settings: Settings) -> AbstractAsyncContextManager[Cluster]:
    return embedded_cluster(
        folder, cache_folder(), places, repository=settings.maven_repository, neighbour=maven_folder()
    )


def _environment(settings: Settings) -> dict[str, str]:
    """What a worker is told, on top of what we were."""
    valkey = settings.valkey_url
    return child_environment(
        HEADRACE_KAFKA_BOOTSTRAP=settings.kafka_bootstrap or "",
        HEADRACE_REPLICATION_FACTOR=str(settings.replication_factor),
        HEADRACE_VALKEY_URL="" if valkey is None else valkey.get_secret_value(),
        HEADRACE_LOG="json",
    )


async def _settled(evidence: Evidence, watch: Watch, workers: Workers, requests: int) -> None:
    """Wait until all is answered and committed, or until there has been time enough."""
    try:
        async with asyncio.timeout(SETTLE_S):
            while watch.seen < requests or not workers.calm or await _late(evidence):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        log.warning("not_settled", seen=watch.seen, requests=requests)


async def _late(evidence: Evidence) -> bool:
    try:
        return await evidence.behind() > 0
    except TransportError as error:
        log.info("not_settled_yet", error=str(error))
        return True
