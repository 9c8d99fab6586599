"""The text task of the injection guard."""

from __future__ import annotations

from collections.abc import Iterator

import re2

from consumers.guard.detection import Detected, detected
from consumers.guard.finding import Finding, findings

_RULES = {
    "override": (
        re2.compile(
            r"(?i)\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+|your\s+){0,3}"
            r"(?:previous|prior|above|earlier|preceding)\s+(?:instructions?|prompts?|rules|directions)"
        ),
        0.95,
    ),
    "prompt_extraction": (
        re2.compile(
            r"(?i)\b(?:reveal|print|show|repeat|output)\s+(?:me\s+)?(?:your|the)\s+"
            r"(?:full\s+|entire\s+|hidden\s+|initial\s+)?system\s+(?:prompt|message|instructions)"
        ),
        0.7,
    ),
}


def find_injection(text: str, hidden: str) -> Detected:
    """Return the signs of prompt injection in the text and its other readings."""
    return detected(findings(_rules, text, hidden))


def _rules(text: str) -> Iterator[Finding]:
    for kind, (rule, score) in _RULES.items():
        for match in rule.finditer(text):
            yield Finding(kind, match.start(), match.end(), score)
