"""The context that every step receives beside its value."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from consumers.fencing_token import FencingToken
from consumers.meter import AgentMeter, NoMeter
from consumers.spans import NoSpans, Spans
from consumers.spending import Spending
from schemas.admissions import AdmissionKey
from schemas.clock import Clock
from schemas.envelopes import Envelope
from schemas.errors import InternalError
from schemas.records import HeaderList
from schemas.tenants import Tenant

FIRST_TOKEN = FencingToken(1, 1)
"""The token of a run outside Kafka, which has only one owner."""


def always_owned() -> bool:
    """Return True: outside Kafka, no other worker can take the run."""
    return True


def without_end() -> float:
    """Return infinity: outside Kafka, the ownership of the run does not end."""
    return math.inf


async def never_started() -> bool:
    """Return False: outside Kafka, the run has had no other owner."""
    return False


def only_token() -> FencingToken:
    """Return the token of a run outside Kafka."""
    return FIRST_TOKEN


@asynccontextmanager
async def kept_slot() -> AsyncGenerator[None]:
    """Keep the run slot while the block waits."""
    yield


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """The tenant, the clock and the trace of one step call."""

    tenant: Tenant
    clock: Clock
    trace: HeaderList = ()
    """Trace headers for records that the step sends, with W3C names."""

    envelope: Envelope | None = None
    """The client's record; set only for the stage that reads requests."""

    admission: AdmissionKey | None = None
    """The admission key of the admitted request; set only for the stage that reads requests."""

    spending: Spending = field(default_factory=Spending)
    """The usage of the run. The step adds to it, so that it is known also if the step fails."""

    token: Callable[[], FencingToken] = only_token
    """Returns the shard's fencing token as it is now: a run goes on while its shard reopens."""

    may_start: Callable[[], bool] = always_owned
    """Returns True while no other worker can own the run. Else start nothing outside Kafka, raise RunSupersededError.
    It may become True again: then the stage repeats the step, which goes on from its journal."""

    owned_until: Callable[[], float] = without_end
    """Returns the end of that time as it is known now, in monotonic seconds of ``clock``; -inf if it is over."""

    waiting: Callable[[], AbstractAsyncContextManager[None]] = kept_slot
    """Returns a scope that gives the run slot to others, and takes one again at its end."""

    store_changed: bool = False
    """True if the store of journals has changed since an earlier owner may have started the run: the journal that is
    found may lack its newest steps."""

    started_before: bool = False
    """True if an earlier owner may have started the run and its journal may have been lost since."""

    spans: Spans = field(default_factory=NoSpans)
    meter: AgentMeter = field(default_factory=NoMeter)

    @property
    def arrival(self) -> Envelope:
        """Return the client's record; raise InternalError outside the stage that reads requests."""
        if self.envelope is None:
            raise InternalError(detail="a step after admission asked for the client's record")
        return self.envelope
