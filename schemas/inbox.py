"""What the tenant's door remembers: which requests are open, closed or cancelled, and which partitions it serves."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

from schemas.models import Payload
from schemas.records import Partition

INBOX_TYPE = "headrace.inbox.v1"


class Identity(Payload):
    """Who sent a request and what they called it; the same identity is executed once and answered once."""

    tenant: str
    issuer: str
    subject: str
    source: str
    id: str

    @property
    def digest(self) -> str:
        """128 bits over every part, each with its length before it, in hex."""
        return _digest(self.tenant, self.issuer, self.subject, self.source, self.id)


@lru_cache(maxsize=1_024)  # a request is identified more than once on its way through a stage
def _digest(*parts: str) -> str:
    encoded = [part.encode() for part in parts]
    return hashlib.sha256(b"".join([len(raw).to_bytes(4, "big") + raw for raw in encoded])).hexdigest()[:32]


class Ticket(Payload):
    """What the door gives a request on its way, and gets back when it is over."""

    key: str
    """Of the inbox record: tenant and digest of the identity."""

    body: str
    """Digest of the request's value: the same id with another body is a conflict."""

    lane: str
    """One request of a lane is beyond the door at a time: subject and session, or the request itself."""

    request_id: str
    deadline_ms: int
    agent: str = ""
    subject: str = ""
    charged_ms: int | None = None
    """When it was let in and counted against its tenant's, agent's and user's rates; None where none is limited."""


class InboxEntry(Payload):
    """One change of what the door remembers; the latest of a key holds."""

    state: Literal["open", "closed", "cancelled", "serving"]
    ticket: Ticket | None = None
    buried: bool = False
    """Of a closed request: whether its record went to the dead letters, and not by the platform's fault."""


def request_key(identity: Identity) -> str:
    """The inbox key of a request."""
    return f"{identity.tenant}|{identity.digest}"


def serving_key(tenant: str, partition: Partition) -> str:
    """The inbox key that says a partition's first offset has been committed once."""
    return f"{tenant}|serving|{partition}"
