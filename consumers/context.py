"""What every step gets beside its value."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.clock import Clock
from schemas.envelopes import Envelope
from schemas.errors import InternalError
from schemas.inbox import Ticket
from schemas.records import HeaderList
from schemas.tenants import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Whose record it is, the time, and the trace that this step belongs to."""

    tenant: Tenant
    clock: Clock
    trace: HeaderList = ()
    """Headers for what the step sends out, W3C names."""

    envelope: Envelope | None = None
    """The client's record; only the step that reads requests has it."""

    ticket: Ticket | None = None
    """What the door let the request in with; only the step that reads requests has it."""

    @property
    def arrival(self) -> Envelope:
        """The client's record, for the step that reads requests."""
        if self.envelope is None:
            raise InternalError(detail="a step behind the door asked for the client's record")
        return self.envelope
