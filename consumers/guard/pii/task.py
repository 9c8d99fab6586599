"""The text task of the guard for personal data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from consumers.guard.detection import Detected, detected
from consumers.guard.finding import Finding, findings
from consumers.guard.pii.detector import PiiDetector, PiiRules
from consumers.placeholders import escaped, literals, numbered

LITERAL: Final = "placeholder_literal"
"""The kind of a placeholder that the platform did not write. It is put into square brackets."""


@lru_cache(maxsize=64)
def detector_of(rules: str) -> PiiDetector:
    """Return the detector of rules in JSON. Raise ValueError for an unknown region."""
    return PiiDetector.of(PiiRules.model_validate_json(rules or "{}"))


def find_pii(text: str, hidden: str, rules: str = "", known: str = "", own: str = "") -> Detected:
    """Return the personal data of the text and its other readings, with the redacted text.

    *known* has the placeholders so far, *own* those of them that may occur in the text, both as JSON objects.
    """
    return redacted_pii(text, findings(detector_of(rules).detect, text, hidden), known, own)


def redacted_pii(text: str, found: Sequence[Finding], known: str = "", own: str = "") -> Detected:
    """Return the result for these findings. Equal values share a placeholder, and literal placeholders are escaped."""
    forged = _forged(text, own)
    if not found and not forged:
        return detected(())
    plain = escaped(text, json.loads(own or "{}")) if forged else text
    result = numbered(plain, apart(found), json.loads(known or "{}"))
    return detected((*found, *forged), text=result.text, placeholders=tuple(result.placeholders.items()))


def _forged(text: str, own: str) -> list[Finding]:
    if "<" not in text:
        return []
    allowed = json.loads(own or "{}")
    return [Finding(LITERAL, each.start(), each.end()) for each in literals(text) if each[0] not in allowed]


def apart(found: Iterable[Finding]) -> list[Finding]:
    """Return the findings of the text in its order. Those that overlap become one, of the kind of the first."""
    result: list[Finding] = []
    for each in sorted(found, key=lambda one: (one.start, -one.end)):
        if result and each.start < result[-1].end:
            result[-1] = result[-1]._replace(end=max(result[-1].end, each.end))
        elif each.end > each.start:
            result.append(each)
    return result
