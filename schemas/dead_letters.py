"""The reason headers of a dead letter. The record itself stays as it came."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.headers import ERROR_CODE, INPUT, SEAL, SIGNATURE
from schemas.records import HeaderList, Record

_DROPPED = frozenset({INPUT, SEAL, SIGNATURE})
MESSAGE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class DeadLetterReason:
    """The error, the stage and the worker that dead-lettered a record."""

    code: str
    kind: str
    """The name of the error's class."""

    message: str
    """The public error message; at most 1 KiB."""

    stage: str
    worker: str
    attempt: int = 1
    first_failure_ms: int = 0

    def headers(self, record: Record) -> HeaderList:
        """Return the record's own headers without credentials, then the reason headers."""
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
    """Cut the text to the limit between two characters. Replace characters that UTF-8 cannot encode."""
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
