"""Store tracking: which open records may have been started while their journals may have been lost.

Each owner names the store of the journals in its mark. A tool starts only once its journal says so durably. So while
the store is the same, a missing journal proves that the run has started no tool. If the next owner finds another store,
or cannot ask it, that proof is missing for the records that a former owner may have started.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

import structlog

from schemas.records import Partition, Record
from schemas.relocation import original_of
from streams.engine.crash_mark import NO_STORE, UNKNOWN_STORE, CrashMark, is_store
from streams.engine.reach import fetch_limit, reach
from streams.engine.runtime import Runtime
from streams.offsets.tracker import Tracker
from streams.transport.errors import TransportError

ASK_S = 3.0
"""The deadline of one request for the store's identity. After it the store is unknown."""

FOLLOW_S = 10.0
"""The time between two checks for another store. They only make the mark name one store again as soon as possible."""

_ENDS_S = 5.0

log = structlog.get_logger()


class Zone(NamedTuple):
    """The part of one partition that former owners may have started."""

    reach: int
    """The first offset that they cannot have fetched."""

    end: int
    """The end of the log then. Relocated runs may lie anywhere before it."""


WHOLE = Zone(sys.maxsize, sys.maxsize)
"""A partition that could not be read at the opening."""


def may_be_lost(former: str, now: str) -> bool:
    """Return True if a journal in the store *former* may be missing in the store *now*."""
    return former != NO_STORE and (former == UNKNOWN_STORE or former != now)


class StoreTracking:
    """The store tracking of one shard. Without ``StageHandler.journal_identity`` it asks nothing."""

    def __init__(self, runtime: Runtime, number: int) -> None:
        self._runtime, self._number = runtime, number
        handler = runtime.handler
        self._identity = StoreIdentity(handler.journal_identity if handler.prepare_isolated else None)
        self._former = self._store = NO_STORE
        self._zones: Mapping[Partition, Zone] = {}
        self._mixed: Mapping[Partition, Zone] = {}
        """Open records whose journals may be in another store than ``_store``."""

    @property
    def text(self) -> str:
        """The store as the mark names it."""
        return UNKNOWN_STORE if self._mixed else self._store

    async def open(self, mark: CrashMark, trackers: Collection[Tracker]) -> None:
        """Compare the store with that of the former owner's *mark*. Call it after the fence and the offset read."""
        self._former = self._store = mark.store if mark.life else NO_STORE
        self._zones = self._mixed = {}
        if self._identity.known:
            self._zones = await self._zones_of(trackers) if mark.life else {}
            self._store = await self._identity.now()
            self._mixed = self._zones if may_be_lost(self._former, self._store) else {}

    async def started_before(self, record: Record) -> bool:
        """Return True if a former owner may have started *record* and its journal may have been lost.

        It asks for the store at each call: the store may have changed since the opening.
        """
        if not self._identity.known or not self._may_have_started(record):
            return False
        return may_be_lost(self._former, await self._identity.now())

    def _may_have_started(self, record: Record) -> bool:
        zone = self._zones.get(Partition(record.topic, record.partition))
        within = zone is not None and record.offset < zone.reach
        return within or original_of(record) is not record  # a relocated run may lie beyond the reach

    async def _zones_of(self, trackers: Collection[Tracker]) -> dict[Partition, Zone]:
        """Return the zones with open records."""
        runtime, known = self._runtime, {tracker.partition: tracker for tracker in trackers}
        ends = await runtime.consumer.high_watermarks(known.keys(), _ENDS_S)
        limit = fetch_limit(runtime.handler.max_in_flight)
        zones = {place: Zone(reach(each, ends[place], limit), ends[place]) for place, each in known.items()}
        found = {place: zone for place, zone in zones.items() if zone.end > known[place].committed}
        return found | dict.fromkeys(runtime.handler.route(self._number) - known.keys(), WHOLE)

    def settled(self, offsets: Mapping[Partition, tuple[int, str]]) -> None:
        """Note that a transaction has committed *offsets*: zones end once all their records are visible."""
        self._zones = _open_zones(self._zones, offsets)
        self._mixed = _open_zones(self._mixed, offsets)

    async def follow(self, trackers: Mapping[Partition, Tracker], changed: Callable[[], None]) -> None:
        """Check for another store from time to time, and call *changed* when the mark has to name another one."""
        while self._identity.known:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self._look(trackers, changed)
            except (TransportError, TimeoutError) as error:
                log.warning("log_ends_unknown", group=self._runtime.handler.group, error=repr(error))

    async def _look(self, trackers: Mapping[Partition, Tracker], changed: Callable[[], None]) -> None:
        now = await self._identity.now()
        if now not in {UNKNOWN_STORE, self._store}:
            self._mixed = await self._zones_of(trackers.values())
            self._store = now
            log.warning("journal_store_changed", group=self._runtime.handler.group, store=now)
            changed()


def _open_zones(
    zones: Mapping[Partition, Zone], offsets: Mapping[Partition, tuple[int, str]]
) -> Mapping[Partition, Zone]:
    if not zones:
        return zones
    return {place: zone for place, zone in zones.items() if offsets.get(place, (0,))[0] < zone.end}


class StoreIdentity:
    """The identity of the store now. Callers that come during a request share the next one."""

    def __init__(self, ask: Callable[[], Awaitable[str]] | None) -> None:
        self._ask = ask
        self._one_at_a_time = asyncio.Lock()
        self._begun = self._answered = 0
        self._answer = UNKNOWN_STORE

    @property
    def known(self) -> bool:
        """True if there is a store to ask."""
        return self._ask is not None

    async def now(self) -> str:
        """Return the answer to a request that began after this call; ``UNKNOWN_STORE`` if it failed."""
        came = self._begun
        async with self._one_at_a_time:
            if self._answered <= came:
                self._begun += 1
                self._answer = await self._asked()
                self._answered = self._begun
        return self._answer

    async def _asked(self) -> str:
        if self._ask is None:
            return UNKNOWN_STORE
        try:
            async with asyncio.timeout(ASK_S):
                found = await self._ask()
        except Exception as error:  # noqa: BLE001 - whatever the reason: the store is unknown
            log.warning("journal_store_unknown", error=repr(error))
            return UNKNOWN_STORE
        if found in {UNKNOWN_STORE, NO_STORE} or not is_store(found):
            log.error("journal_store_misnamed", store=found[:200])
            return UNKNOWN_STORE
        return found
