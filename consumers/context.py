"""The context that every step receives beside its value."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.spending import Spending
from schemas.admissions import AdmissionKey
from schemas.clock import Clock
from schemas.envelopes import Envelope
from schemas.errors import InternalError
from schemas.records import HeaderList
from schemas.tenants import Tenant


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

    @property
    def arrival(self) -> Envelope:
        """Return the client's record; raise InternalError outside the stage that reads requests."""
        if self.envelope is None:
            raise InternalError(detail="a step after admission asked for the client's record")
        return self.envelope
