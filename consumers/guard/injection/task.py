"""The text task of the injection guard."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from consumers.guard.content import Channel
from consumers.guard.detection import Detected, detected
from consumers.guard.injection.classifier import classifier
from consumers.guard.injection.rule_set import rule_set
from consumers.guard.injection.scoring import Scoring

RULES_ONLY: Final = "rules"
WITH_CLASSIFIER: Final = "classifier"


def find_injection(
    text: str, hidden: str, channel: str = "request", method: str = WITH_CLASSIFIER, off: str = ""
) -> Detected:
    """Return the score, and the signs of prompt injection in the text and its other readings.

    *off* has the kinds of rules that do not count, with commas between them.
    """
    scored = _scoring(method, off)(text, hidden, cast("Channel", channel))
    return detected(scored.findings)._replace(score=scored.score)


@lru_cache(maxsize=64)
def _scoring(method: str, off: str) -> Scoring:
    weights = classifier() if method == WITH_CLASSIFIER else None
    return Scoring(rule_set(), weights, frozenset(filter(None, off.split(","))))


def warm() -> None:
    """Load the rules and the weights, which takes half a second of CPU time once."""
    find_injection("warm", "")
