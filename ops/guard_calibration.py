"""Thresholds of a guard from benign samples: as low as a wanted rate of false alarms allows.

The rate holds with 95 % confidence for texts like the samples. Source: C. Clopper, E. Pearson, "The Use of Confidence
or Fiducial Limits" (1934).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from pydantic import ValidationError

from consumers.context import StepContext
from consumers.guard.content import Channel, Content
from consumers.guard.pipeline import Pipeline
from ops.errors import InvalidError
from ops.guard_check import CheckedText, chunks_of_lines
from ops.guard_settings import fault_in
from schemas.guards import GuardSettings, TenantGuards

CONFIDENCE: Final = 0.95
DECIMALS: Final = 6
"""Decimal places of a threshold. It is rounded up."""

_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A threshold, with its false alarms among the samples."""

    threshold: float
    wanted: float
    alarms: int
    samples: int

    def report(self) -> dict[str, Any]:
        """Return the threshold, the achieved rate and its upper bound."""
        return {
            "threshold": self.threshold,
            "wanted": self.wanted,
            "achieved": round(self.alarms / self.samples, DECIMALS),
            "at_most": round(upper_bound(self.alarms, self.samples), DECIMALS),
            "false_alarms": self.alarms,
            "samples": self.samples,
            "confidence": CONFIDENCE,
        }


def needed(rate: float) -> int:
    """Return the fewest samples that can show the rate: all of them without an alarm."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-rate))


def calibrated(scores: Sequence[float], rate: float) -> Calibrated:
    """Return the lowest threshold that keeps the rate. Raise InvalidError if the samples are too few or too suspect."""
    if len(scores) < needed(rate):
        raise InvalidError(
            f"{len(scores)} samples cannot show {rate:g} false alarms: give at least {needed(rate)} benign texts"
        )
    ordered = sorted(scores, reverse=True)
    threshold = _above(ordered[allowed_alarms(len(scores), rate)])
    if threshold > 1:
        raise InvalidError("too many samples have the highest score: see if they are benign, and if --channel is right")
    return Calibrated(threshold, rate, sum(score >= threshold for score in scores), len(scores))


def _above(score: float) -> float:
    step = 10**DECIMALS
    return (math.floor(score * step) + 1) / step


def allowed_alarms(samples: int, rate: float) -> int:
    """Return the most false alarms among the samples for which the upper bound is still within the rate."""
    allowed, total = 0, 0.0
    for alarms in range(samples):
        total += _probability(alarms, samples, rate)
        if total > 1 - CONFIDENCE:
            break
        allowed = alarms
    return allowed


def upper_bound(alarms: int, samples: int) -> float:
    """Return the one-sided upper bound of Clopper and Pearson for the true rate."""
    low, high = alarms / samples, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if sum(_probability(each, samples, middle) for each in range(alarms + 1)) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _probability(alarms: int, samples: int, rate: float) -> float:
    """Return the binomial probability of exactly so many alarms."""
    if not 0 < rate < 1:
        return float(alarms == (samples if rate else 0))
    ways = math.lgamma(samples + 1) - math.lgamma(alarms + 1) - math.lgamma(samples - alarms + 1)
    return math.exp(ways + alarms * math.log(rate) + (samples - alarms) * math.log1p(-rate))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores benign texts with the guard of a pipeline, and makes settings of the result."""

    pipeline: Pipeline
    context: StepContext
    guard: str
    channel: Channel

    async def report(self, texts: Iterable[str], flag: float, block: float) -> dict[str, Any]:
        """Return the thresholds for both rates, and what they achieve. Raise InvalidError if there are none."""
        scores = [await self._score(text) for text in texts]
        blocked = calibrated(scores, block)
        flagged = calibrated(scores, flag)
        thresholds = {"flag": flagged.threshold, "block": max(flagged.threshold, blocked.threshold)}
        settings = TenantGuards(input={self.guard: GuardSettings(config={"thresholds": {self.channel: thresholds}})})
        return {
            "guards": settings.model_dump(mode="json", exclude_defaults=True),
            "flag": flagged.report(),
            "block": blocked.report(),
        }

    async def _score(self, text: str) -> float:
        outcome = await self.pipeline.input(Content(text, channel=self.channel), self.context)
        return next((verdict.score for verdict in outcome.verdicts if verdict.guard == self.guard), 0.0)


def benign_texts(source: BinaryIO) -> list[str]:
    """Return the texts of all lines. Raise InvalidError for a line that cannot be read: a sample must not be lost."""
    numbered = (line for chunk in chunks_of_lines(source) for line in chunk)
    return [_text(number, line) for number, line in numbered]


def _text(number: int, line: bytes) -> str:
    try:
        return CheckedText.model_validate_json(line).text
    except ValidationError as error:
        raise InvalidError(f"line {number}: {fault_in(error)}") from error
