"""The reason headers of a dead letter. The record itself stays as it came."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.headers import ERROR_CODE, INPUT, OWN_PREFIX, SEAL, SIGNATURE
from schemas.records import HeaderList, Record
from schemas.topics import tenant_of

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
        """Return the record's own headers, then the reason headers. Credentials and forged headers are dropped.

        A client writes the records of its tenant's topics, so no header of the platform there is the platform's.
        """
        from_client = tenant_of(record.topic) is not None
        kept = tuple((name, value) for name, value in record.headers if not _is_dropped(name, from_client=from_client))
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


def _is_dropped(name: str, *, from_client: bool) -> bool:
    return (from_client and name[: len(OWN_PREFIX)].lower() == OWN_PREFIX) or name in _DROPPED or name in _NAMES


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
