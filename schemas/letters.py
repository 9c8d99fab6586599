"""What a dead letter says of itself: the record stays as it came, the reason stands in its headers."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.headers import ERROR_CODE, SEAL, SIGNATURE
from schemas.records import HeaderList, Record

_DROPPED = frozenset({SEAL, SIGNATURE})
MESSAGE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Reason:
    """Why and where a record was buried."""

    code: str
    kind: str
    """Name of the error's class."""

    message: str
    """Safe to show; at most 1 KiB."""

    stage: str
    worker: str
    attempt: int = 1
    first_failure_ms: int = 0

    def headers(self, record: Record) -> HeaderList:
        """The record's own headers without credentials, then the reason."""
        kept = tuple((name, value) for name, value in record.headers if name not in _DROPPED and name not in _NAMES)
        return kept + tuple((name, _short(text)) for name, text in self._texts(record))

    def _texts(self, record: Record) -> tuple[tuple[str, str], ...]:
        source = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}"
        values = (
            self.code,
            self.kind,
            self.message,
            self.stage,
            self.worker,
            str(self.attempt),
            str(self.first_failure_ms),
            source,
        )
        return tuple(zip(_NAMES, values, strict=True))


def _short(text: str) -> bytes:
    """At most the limit, cut between two characters; what UTF-8 cannot say is replaced."""
    return text.encode(errors="replace")[:MESSAGE_LIMIT].decode(errors="ignore").encode()


_NAMES = (
    ERROR_CODE,
    "headrace-error-class",
    "headrace-error-message",
    "headrace-stage",
    "headrace-worker",
    "headrace-attempt",
    "headrace-first-failure-at",
    "headrace-source",
)
