"""The detector of secrets in one reading of a text, and in the end of a text that grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consumers.guard.finding import Finding
from consumers.guard.secrets.formats import FormatMatch, SecretFormats, own_formats
from consumers.guard.secrets.letters import letters_of


class SecretDetector:
    """Finds the secrets of all rules, except kinds that are switched off."""

    def __init__(self, own: SecretFormats | None = None, off: Iterable[str] = ()) -> None:
        self._formats = (own_formats(),) if own is None else (own_formats(), own)
        self._off = frozenset(off)

    def detect(self, text: str, /) -> tuple[Finding, ...]:
        """Return the secrets of one reading, in order. Matches that overlap are one finding."""
        letters = letters_of(text)
        found = [each for formats in self._formats for each in formats.matches(letters)]
        return tuple(_apart([each for each in found if each.finding.kind not in self._off])) if found else ()

    def live_from(self, text: str, /) -> int:
        """Return the start of the first secret that more text may complete or extend; the length if there is none."""
        letters = letters_of(text)
        return min(formats.live_from(letters) for formats in self._formats)


def _apart(found: list[FormatMatch]) -> Iterator[Finding]:
    group: list[FormatMatch] = []
    end = 0
    for each in sorted(found, key=lambda one: (one.finding.start, one.finding.end)):
        if group and each.finding.start >= end:
            yield _one(group)
            group = []
        group.append(each)
        end = max(end, each.finding.end)
    if group:
        yield _one(group)


def _one(group: list[FormatMatch]) -> Finding:
    """Return one finding over the whole group. Its kind is the specific one with the best score."""
    best = min(group, key=lambda one: (one.generic, -one.finding.score)).finding
    return best._replace(start=min(each.finding.start for each in group), end=max(each.finding.end for each in group))
