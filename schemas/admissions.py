"""The records of the admission log: open, closed and cancelled requests, and the partitions that are served."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

from schemas.models import Payload
from schemas.records import Partition

ADMISSION_TYPE = "headrace.admission.v1"
_CANCEL = "cancel"


class Identity(Payload):
    """The sender of a request and the sender's id of it. One identity is executed once and answered once."""

    tenant: str
    issuer: str
    subject: str
    source: str
    id: str

    @property
    def digest(self) -> str:
        """Return a hash of 128 bits in hex over all parts, each prefixed with its length."""
        return _digest(self.tenant, self.issuer, self.subject, self.source, self.id)


@lru_cache(maxsize=1_024)  # one stage identifies the same request more than once
def _digest(*parts: str) -> str:
    encoded = [part.encode() for part in parts]
    return hashlib.sha256(b"".join([len(raw).to_bytes(4, "big") + raw for raw in encoded])).hexdigest()[:32]


class AdmissionKey(Payload):
    """The admission data of a request. It travels with the request until admission closes it."""

    key: str
    """The key of the admission record: tenant and digest of the identity."""

    body: str
    """Digest of the request's value. The same id with another body is a conflict."""

    lane: str
    """Subject and session, or the request itself. At most one request of a lane is admitted and not closed."""

    request_id: str
    deadline_ms: int
    agent: str = ""
    subject: str = ""
    charged_ms: int | None = None
    """The time of admission, counted against rate limits, in milliseconds since the epoch. None without rate limits."""


class AdmissionEvent(Payload):
    """One change of the admission state. The latest record of a key is valid."""

    state: Literal["open", "closed", "cancelled", "serving"]
    admission: AdmissionKey | None = None
    dead_lettered: bool = False
    """True if the record of a closed request was dead-lettered and the platform was not at fault."""


def request_key(identity: Identity) -> str:
    """Return the admission key of a request."""
    return f"{identity.tenant}|{identity.digest}"


def cancel_key(key: str) -> str:
    """Return the admission key of the cancel that precedes a request. *key* is the request's own key.

    It differs from the request's key, so that deleting an old cancel never deletes a request.
    """
    tenant, _, digest = key.partition("|")
    return f"{tenant}|{_CANCEL}|{digest}"


def cancelled_key(key: str) -> str | None:
    """Return the key of the request that a cancel names; None if *key* is not the key of a cancel."""
    tenant, _, rest = key.partition("|")
    kind, _, digest = rest.partition("|")
    return f"{tenant}|{digest}" if kind == _CANCEL and digest else None


def serving_key(tenant: str, partition: Partition) -> str:
    """Return the admission key that marks a partition's first offset as committed."""
    return f"{tenant}|serving|{partition}"
