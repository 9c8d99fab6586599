"""The admission controllers of the shards that this worker owns.

Each one is rebuilt from its partition of the admissions topic, and kept up to date from it.
"""

from __future__ import annotations

import asyncio

import structlog
from pydantic import ValidationError

from consumers.admission.controller import AdmissionController, DeadLetterLimitOf, unlimited
from consumers.admission.rates import rates_of
from schemas.admissions import AdmissionEvent
from schemas.clock import Clock
from schemas.records import Partition, Record
from schemas.tenants import Tenant
from schemas.topics import ADMISSIONS, shard_of
from streams.telemetry.metric_definitions import DEAD_LETTER_BREAKER_OPENS
from streams.telemetry.metric_store import OTHER, MetricStore
from streams.transport.reader import Reader

log = structlog.get_logger()

POLL_S = 0.1
"""Longest wait of one poll in seconds. The first controller waits at most this long for the reader."""

LOOK_S = 0.005
"""Seconds between two checks of the reader's position."""


class AdmissionMemory:
    """The admission controllers of one worker.

    A controller opens only after everything is read that was in the log when its shard was fenced.
    """

    def __init__(
        self,
        reader: Reader,
        shards: int,
        clock: Clock,
        metrics: MetricStore | None = None,
        limit_of: DeadLetterLimitOf = unlimited,
    ) -> None:
        self._reader = reader
        self._shards = shards
        self._clock = clock
        self._metrics = metrics or MetricStore(OTHER)
        self._limit_of = limit_of
        self._controllers: dict[int, AdmissionController] = {}

    def of(self, tenant: str) -> AdmissionController:
        """Return the admission controller of a tenant whose shard is open here."""
        return self._controllers[shard_of(tenant, self._shards)]

    def is_served(self, tenant: str, key: str) -> bool:
        """Return True if the first offset of a tenant's partition has been committed once.

        False while its admission controller is closed, because it is unknown then.
        """
        controller = self._controllers.get(shard_of(tenant, self._shards))
        return controller is not None and controller.is_served(key)

    def is_limited(self, tenant: str) -> bool:
        """Return True if the tenant's own limit makes it wait.

        False while its admission controller is closed, because it is unknown then.
        """
        controller = self._controllers.get(shard_of(tenant, self._shards))
        return controller is not None and controller.is_limited(tenant)

    def apply_tenant(self, tenant: Tenant) -> None:
        """Apply a changed tenant record to the requests that wait; a removed tenant's are no longer admitted.

        Does nothing while the tenant's admission controller is closed.
        """
        controller = self._controllers.get(shard_of(tenant.id, self._shards))
        if controller is None:
            return
        controller.set_limits(tenant.id, tenant.limits.concurrency, rates_of(tenant.limits))
        if tenant.state == "removed":
            controller.withdraw_waiting(tenant.id)

    async def load_memory(self, shard: int) -> None:
        """Rebuild the shard's admission controller from the log.

        Reads to the current high watermark. An open transaction may hold the last stable offset below what the former
        owner committed. A read that ends there would forget requests that the former owner admitted.
        """
        partition = Partition(ADMISSIONS.name, shard)
        self._reader.remove([partition])
        self._controllers[shard] = AdmissionController(self._clock, on_open=self._on_open, limit_of=self._limit_of)
        end = (await self._reader.high_watermarks([partition]))[partition]
        await self._reader.add([partition])
        while self._reader.position(partition) < end:  # noqa: ASYNC110 - the reader tells nobody how far it is
            await asyncio.sleep(LOOK_S)

    def _on_open(self, tenant: str, seconds: float) -> None:
        """Raise an alarm: the dead-letter breaker stopped admission of *tenant*. Its requests wait; none is lost."""
        log.error(
            "dead_letter_breaker_opened", tenant=tenant, seconds=round(seconds, 1), reason="too many dead letters"
        )
        self._metrics.count(DEAD_LETTER_BREAKER_OPENS, *self._metrics.tenant(tenant))

    def forget(self, shard: int) -> None:
        """Forget the admission controller of a closed shard, and stop reading its partition."""
        self._controllers.pop(shard, None)
        self._reader.remove([Partition(ADMISSIONS.name, shard)])

    async def follow(self) -> None:
        """Keep every admission controller up to date, until cancelled."""
        while True:
            for record in await self._reader.poll(POLL_S):
                self._apply(record)

    def _apply(self, record: Record) -> None:
        controller = self._controllers.get(record.partition)
        if controller is None:
            return
        try:
            entry = AdmissionEvent.model_validate_json(record.value) if record.value is not None else None
        except ValidationError as error:
            log.error(  # noqa: TRY400 - the traceback would hold content
                "admission_record_unreadable", position=record.position, faults=error.error_count()
            )
            return
        controller.apply((record.key or b"").decode(errors="replace"), entry, record.timestamp)
