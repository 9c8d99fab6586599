"""The text task of the guard for personal data."""

from __future__ import annotations

from collections.abc import Iterator

import re2

from consumers.guard.detection import Detected, detected, redacted
from consumers.guard.finding import Finding, findings

_EMAIL = re2.compile(r"\b[0-9A-Za-z][0-9A-Za-z._%+-]{0,63}@[0-9A-Za-z][0-9A-Za-z.-]{0,250}\.[A-Za-z]{2,24}\b")


def find_pii(text: str, hidden: str) -> Detected:
    """Return the personal data of the text and its other readings, with the redacted text."""
    found = findings(_emails, text, hidden)
    return detected(found, text=redacted(text, found, lambda each: f"<{each.kind.upper()}>") if found else None)


def _emails(text: str) -> Iterator[Finding]:
    for match in _EMAIL.finditer(text):
        yield Finding("email", match.start(), match.end())
