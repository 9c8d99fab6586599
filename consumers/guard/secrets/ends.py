"""The end of a growing text: the first offset from which it may still become a match of a rule.

Most rules begin with fixed letters. Each place of such letters is a candidate, and the rest of the text is compared
with the beginnings of the rules there. This automaton is small, since the letters select the rules. Rules that begin
with any characters are searched from the end of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from consumers.guard.secrets.expressions import beginnings_of
from consumers.guard.secrets.letters import adapted, compiled

CANDIDATES: Final = 256
"""Candidates that are compared. The next one counts as live, which bounds the work on a hostile text."""

FIXED: Final = 2
"""First letters that make a rule's candidate."""


class Ends:
    """The beginnings of a set of patterns. Raise ValueError if they are too large for an automaton."""

    def __init__(self, patterns: Iterable[str]) -> None:
        rules = [beginnings_of(pattern) for pattern in dict.fromkeys(patterns)]
        headed = [rule for rule in rules if rule.fixed >= FIXED]
        loose = [rule.begin for rule in rules if rule.fixed < FIXED]
        self._heads = _any(rule.head for rule in headed) if headed else None
        self._alive = _any((rule.begin for rule in headed), r"\z")
        self._last = _any((rule.head_begin for rule in headed), r"\z")
        self._loose = _any(loose, r"\z")

    def live_from(self, letters: bytes) -> int:
        """Return the offset from which the end may become a match; the length of the text if it may not."""
        last: int = min(self._last.search(letters).start(), self._loose.search(letters).start())
        return next(self._candidates(letters, last), last)

    def _candidates(self, letters: bytes, last: int) -> Iterator[int]:
        """Yield the first live candidate before *last*."""
        at = tried = 0
        while self._heads and (found := self._heads.search(letters, at)) and found.start() < last:
            tried += 1
            if tried > CANDIDATES or self._alive.match(letters, found.start()):
                yield found.start()
            at = found.start() + 1


def _any(patterns: Iterable[str], end: str = "") -> Any:  # noqa: ANN401 - RE2 has no types
    return compiled(adapted(f"(?:{'|'.join(patterns)}){end}"))
