"""The pipeline of each tenant, built from its record when it is first needed and after each change of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import structlog

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.pipeline import Pipeline
from consumers.guard.registry import UNCHANGED, GuardConfigError, GuardRegistry
from consumers.resilience.deadline import Deadline
from consumers.resilience.thread_pool import ThreadPool
from schemas.clock import Clock
from schemas.errors import ExpiredError, GuardUnavailableError
from schemas.guards import TenantGuards
from schemas.tenants import Tenant

TENANTS_KEPT: Final = 10_000
"""Tenants whose newest pipeline is kept."""

PIPELINES_KEPT: Final = 256
"""Pipelines that tenants with equal settings share."""

BUILD_S: Final = 30.0
"""Seconds for the guards of one tenant to be made: a plugin may load a model."""

MAKERS: Final = 8
"""Threads in which guards are made, beside those of agents: a plugin that hangs keeps one."""

RETRY_S: Final = 30.0
"""Seconds until settings that could not be used are tried again, without a change of the record."""

WARM_TEXT: Final = "Hello, \u200bworld. Write to jo@example.com, or call +49 30 901820 or (212) 555-0123."
"""A text for which detectors load their tables."""

NOBODY: Final = "none"
"""The tenant of the texts that are judged before the first request."""

HANG_RETRY_S: Final = 600.0
"""The same for settings whose guards were not made in time: each attempt may cost a thread."""

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")

log = structlog.get_logger()


class GuardsNotMadeError(GuardConfigError):
    """A plugin did not make its guard in time."""


class Recent(Generic[Key, Kept]):
    """The values that were used last, at most *size*."""

    __slots__ = ("_size", "_values")

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Key, Kept] = OrderedDict()

    def get(self, key: Key) -> Kept | None:
        """Return the value and note its use; None if there is none."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Key, value: Kept) -> None:
        """Keep *value*, and drop the value whose last use is the oldest if there are too many."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Current:
    """The newest settings of a tenant, with the pipeline that it has."""

    guards: TenantGuards
    pipeline: Pipeline | None
    """The pipeline of these settings, or of the last good ones. None if there were no good ones."""

    retry_at: float | None = None
    """Monotonic seconds from which the settings are tried again; None if they could be used."""


@dataclass(slots=True)
class TenantPipelines:
    """Pipelines by tenant. A tenant whose settings become unusable keeps its last good pipeline.

    The pipeline of the platform's settings is made when it is first needed: that takes most of a second of CPU time.
    """

    registry: GuardRegistry
    clock: Clock
    unusable: set[str] = field(default_factory=set[str])
    """The tenants whose newest settings could not be used when they were tried last."""

    _default: Pipeline | None = None
    _threads: ThreadPool = field(default_factory=lambda: ThreadPool(MAKERS))
    _of: Recent[str, _Current] = field(default_factory=lambda: Recent[str, _Current](TENANTS_KEPT))
    _shared: Recent[str, Pipeline] = field(default_factory=lambda: Recent[str, Pipeline](PIPELINES_KEPT))
    _building: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock])

    def default(self) -> Pipeline:
        """Return the pipeline of the platform's settings. Raise GuardConfigError if they cannot be used."""
        if self._default is None:
            self._default = self.registry.pipeline()
        return self._default

    async def warm(self) -> None:
        """Judge a short text at each stage, so that no request waits for what detectors load at their first one."""
        context = StepContext(tenant=Tenant(id=NOBODY), clock=self.clock)
        default = self.default()
        for judge in (default.input, default.tool, default.output):
            await judge(Content(WARM_TEXT, hidden=WARM_TEXT), context)

    def count_unusable(self, tenants: Mapping[str, Tenant]) -> int:
        """Return the number of active tenants whose present settings could not be used."""
        return sum(self._is_unusable(tenants[name]) for name in self.unusable if name in tenants)

    def _is_unusable(self, tenant: Tenant) -> bool:
        known = self._of.get(tenant.id)
        return tenant.state == "active" and known is not None and known.guards == tenant.guards

    async def __call__(self, tenant: Tenant) -> Pipeline:
        """Return the pipeline for the tenant's record. Raise GuardUnavailableError if it never had a usable one."""
        known = self._of.get(tenant.id)
        if known is None or self._is_outdated(known, tenant):
            known = await self._renewed(tenant)
        if known.pipeline is None:
            raise GuardUnavailableError("the tenant's guards cannot be used: an operator must correct its record")
        return known.pipeline

    def _is_outdated(self, known: _Current, tenant: Tenant) -> bool:
        if known.guards is not tenant.guards and known.guards != tenant.guards:
            return True
        return known.retry_at is not None and self.clock.monotonic() >= known.retry_at

    async def _renewed(self, tenant: Tenant) -> _Current:
        """Build the tenant's pipeline, once for all of its waiting requests."""
        try:
            async with self._building.setdefault(tenant.id, asyncio.Lock()):
                known = self._of.get(tenant.id)
                if known is None or self._is_outdated(known, tenant):
                    known = await self._current(tenant, known)
                    self._of.put(tenant.id, known)
                return known
        finally:
            self._building.pop(tenant.id, None)

    async def _current(self, tenant: Tenant, known: _Current | None) -> _Current:
        try:
            pipeline = await self._pipeline(tenant.guards)
        except GuardConfigError as error:
            return self._unusable(tenant, known, error)
        if tenant.id in self.unusable:
            self.unusable.discard(tenant.id)
            log.info("guards_usable", tenant=tenant.id)
        return _Current(tenant.guards, pipeline)

    async def _pipeline(self, guards: TenantGuards) -> Pipeline:
        if guards == UNCHANGED:
            return self.default()
        value = guards.model_dump_json()
        if (shared := self._shared.get(value)) is not None:
            return shared
        deadline = Deadline(self.clock.now_ms() + int(BUILD_S * 1_000), self.clock)
        try:
            pipeline = await self._threads.run(self.registry.pipeline, guards, deadline=deadline)
        except ExpiredError as error:
            raise GuardsNotMadeError(f"the guards were not made within {BUILD_S:g} s") from error
        self._shared.put(value, pipeline)
        return pipeline

    def _unusable(self, tenant: Tenant, known: _Current | None, error: GuardConfigError) -> _Current:
        """Keep the last good pipeline: a tenant is never left without its guards."""
        last_good = None if known is None else known.pipeline
        self.unusable.add(tenant.id)
        log.error("guards_unusable", tenant=tenant.id, error=str(error), keeps_last_good=last_good is not None)
        wait_s = HANG_RETRY_S if isinstance(error, GuardsNotMadeError) else RETRY_S
        return _Current(tenant.guards, last_good, self.clock.monotonic() + wait_s)
