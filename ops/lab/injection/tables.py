"""The tables of a fit: shares of each source's texts that are flagged and blocked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from consumers.guard.injection.classifier import Classifier
from consumers.guard.injection.guard import USUAL
from consumers.guard.injection.rule_set import rule_set
from consumers.guard.injection.scoring import Scoring
from ops.lab.injection.samples import Sample


class Share(NamedTuple):
    """The results of one kind of text of one source."""

    source: str
    attack: bool
    texts: int
    flagged: float
    """Share of the texts that are flagged or blocked."""

    blocked: float


def shares(samples: Iterable[Sample], classifier: Classifier | None) -> list[Share]:
    """Return the shares of each source, as requests and with the usual thresholds."""
    score = Scoring(rule_set(), classifier)
    found: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for sample in samples:
        found[sample.source, sample.attack is not None].append(score(sample.text, "", "request").score)
    return [_share(source, attack, scores) for (source, attack), scores in sorted(found.items())]


def _share(source: str, attack: bool, scores: list[float]) -> Share:  # noqa: FBT001 - half of the key
    flagged = sum(each >= USUAL.flag for each in scores) / len(scores)
    blocked = sum(each >= USUAL.block for each in scores) / len(scores)
    return Share(source, attack, len(scores), flagged, blocked)


def table(found: Iterable[Share]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| source | texts | of them attacks | flagged or blocked | blocked |"
    yield "|---|---|---|---|---|"
    for share in found:
        kind = "all" if share.attack else "none"
        yield f"| {share.source} | {share.texts} | {kind} | {share.flagged:.1%} | {share.blocked:.1%} |"
