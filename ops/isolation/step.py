"""The agent stage's step for requests that may have killed a worker: it runs them in separate processes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from consumers.context import StepContext
from consumers.resilience.cancel import Cancels
from consumers.resilience.suspect_pool import SuspectPool
from ops.background import background
from ops.isolation.process import Suspected, SuspectTelemetry, suspect_process
from ops.settings import Settings
from schemas.clock import Clock, SystemClock
from schemas.results import Result
from schemas.stage_records import Screened
from streams.telemetry.metric_definitions import SUSPECT_PROCESS_DEATHS
from streams.telemetry.metric_store import MetricStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Isolated:
    """A replacement for the stage's own step. Cancelling a run also ends it in its process."""

    cohorts: SuspectPool[Suspected, Result]
    cancels: Cancels

    async def __call__(self, screened: Screened, context: StepContext) -> Result:
        """Run the request as the stage's own step does.

        Raise PoisonError if the request has killed its process twice, running alone.
        """
        async with self.cancels.scope(screened.authorized.run_id):
            return await self.cohorts.run(Suspected(screened, context))


@asynccontextmanager
async def isolated(
    settings: Settings,
    cancels: Cancels,
    metrics: MetricStore,
    clock: Clock | None = None,
    telemetry: SuspectTelemetry | None = None,
) -> AsyncGenerator[Isolated]:
    """Yield the step, and run the processes that it needs until the block ends. They continue the time of *clock*."""

    def died(left: int) -> None:
        metrics.count(SUSPECT_PROCESS_DEATHS)
        log.warning("suspect_process_died", suspects=left)

    process = partial(suspect_process, settings, clock or SystemClock(), telemetry)
    cohorts = SuspectPool[Suspected, Result](process, died=died)
    async with background(cohorts.serve()):
        yield Isolated(cohorts, cancels)
