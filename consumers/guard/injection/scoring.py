"""The score of a text: in each window, the classifier's log-odds and the weights of the rules that match there.

So ten harmless hints all over a long document do not add up, and an attack in its middle is not diluted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.guard.content import Channel
from consumers.guard.finding import Finding
from consumers.guard.injection.classifier import Classifier, WindowOdds
from consumers.guard.injection.folding import folded
from consumers.guard.injection.rule import RuleKind
from consumers.guard.injection.rule_set import RuleSet
from consumers.guard.views import View, views_of

CLASSIFIER: Final = "classifier"
"""The kind of a finding without a rule."""

WITHOUT_CLASSIFIER: Final = -2.0
"""Log-odds of a text without any rule's match, if the classifier is off."""

SEARCHED: Final = 0.35
"""Log-odds taken off for each e-fold of windows: the more windows, the higher the score of the worst benign one."""

ALLOWED: Final = 2.0
"""Log-odds taken off for the windows at most: a clear attack counts in any text."""

MOST: Final = 6.0
"""Log-odds that the rules of one window add at most."""

CONCEALED: Final = 1.0
"""Log-odds added to a rule's match that was encoded, hidden or disguised: honest texts have no reason for it."""


BRIEF_CHARACTERS: Final = 100
BRIEF_WORDS: Final = 5
"""ASCII texts with fewer words say too little: the classifier alone can pass or flag them, and never block."""

BRIEF: Final = -1.0
"""The most log-odds of one word by the classifier."""

BRIEF_STEP: Final = 0.7
"""Log-odds more for each further word."""

QUOTED: Final = 1.5
"""Log-odds taken off if a user quotes the match: questions about attacks do, and hardly an attack."""

_QUOTES: Final = "'\"\u201c\u2018\u00ab\u300c`"


class Match(NamedTuple):
    """A place at which a rule matches, with its weight on the text's channel."""

    kind: RuleKind
    start: int
    end: int
    weight: float


class Scored(NamedTuple):
    """The result for one reading of a text."""

    log_odds: float
    findings: tuple[Finding, ...] = ()
    """The worst window, if the classifier suspects it, and the rules that match in it."""

    @property
    def score(self) -> float:
        """The log-odds as a number from 0 to 1."""
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, self.log_odds))))


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores texts with rules and, if it is given, a classifier."""

    rules: RuleSet
    classifier: Classifier | None = None
    off: AbstractSet[str] = field(default_factory=frozenset[str])
    """Kinds of rules that do not count."""

    def __call__(self, text: str, hidden: str, channel: Channel) -> Scored:
        """Return the score of the text: that of its worst reading. Takes linear time, and never raises."""
        views = (self._view(view, channel) for view in views_of(text, hidden))
        return max(
            (self._reading(text, channel), *self._disguised(text, channel), *views), key=lambda one: one.log_odds
        )

    def _view(self, view: View, channel: Channel) -> Scored:
        scored = self._reading(view.text, channel, CONCEALED)
        return Scored(scored.log_odds, tuple(_located(each, view) for each in scored.findings))

    def _disguised(self, text: str, channel: Channel) -> Iterator[Scored]:
        """Yield the score of the text without disguised letters, if it has any. Its places are the text's own."""
        if (plain := folded(text)) is not None:
            yield self._reading(plain, channel, CONCEALED)

    def _reading(self, text: str, channel: Channel, bonus: float = 0.0) -> Scored:
        odds = self._odds(text)
        if not odds.spans:
            return Scored(-math.inf)
        matches = tuple(self._matches(text, channel, bonus))
        total = odds.values + _weights(odds, matches) - min(SEARCHED * math.log(len(odds.spans)), ALLOWED)
        worst = int(total.argmax())
        suspects = self.classifier is not None and odds.values[worst] > 0
        return Scored(float(total[worst]), tuple(_findings(odds.spans[worst], matches, suspects=suspects)))

    def _odds(self, text: str) -> WindowOdds:
        if self.classifier is not None:
            odds = self.classifier.odds(text)
            return odds._replace(values=np.minimum(odds.values, _most_of(text)))
        spans = ((0, len(text)),) if text else ()
        return WindowOdds(np.full(len(spans), WITHOUT_CLASSIFIER), spans)

    def _matches(self, text: str, channel: Channel, bonus: float) -> Iterator[Match]:
        for number in self.rules.matching(text):
            rule = self.rules.rule(number)
            if rule.kind in self.off:
                continue
            weight = (rule.request if channel == "request" else rule.foreign) + bonus
            for start, end in self.rules.places(number, text):
                less = QUOTED if channel == "request" and _is_quoted(text, start) else 0.0
                yield Match(rule.kind, start, end, weight - less)


def _most_of(text: str) -> float:
    """Return the log-odds that the classifier may give a text. Scripts without spaces have no limit."""
    if not text.isascii() or len(text) > BRIEF_CHARACTERS:
        return math.inf
    words = len(text.split())
    return math.inf if words >= BRIEF_WORDS else BRIEF + BRIEF_STEP * (words - 1)


def _weights(odds: WindowOdds, matches: Sequence[Match]) -> NDArray[np.float64]:
    """Return for each window the greatest weight of each kind that matches in it, added up."""
    by_kind: dict[str, NDArray[np.float64]] = {}
    if matches:
        starts, ends = np.array(odds.spans).T
        for match in matches:
            weights = by_kind.setdefault(match.kind, np.zeros(len(odds.spans)))
            part = slice(np.searchsorted(ends, match.start, "right"), np.searchsorted(starts, match.end, "left"))
            np.maximum(weights[part], match.weight, out=weights[part])
    total = sum(by_kind.values(), start=np.zeros(len(odds.spans)))
    return np.minimum(total, MOST)


def _is_quoted(text: str, start: int) -> bool:
    """Return True if a quotation begins right before *start*, and something else comes before it."""
    return text[start - 1 : start] in _QUOTES and bool(text[: start - 1].strip()) if start > 1 else False


def _findings(window: tuple[int, int], matches: Sequence[Match], *, suspects: bool) -> Iterator[Finding]:
    start, end = window
    if suspects:
        yield Finding(CLASSIFIER, start, end)
    for match in matches:
        if match.start < end and match.end > start:
            yield Finding(match.kind, match.start, match.end)


def _located(found: Finding, view: View) -> Finding:
    start, end = next(iter(view.locate(found.start, found.end)), (0, 0))
    return found._replace(start=start, end=end, reading=view.kind)
