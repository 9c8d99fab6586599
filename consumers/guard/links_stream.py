"""The guard for links in a stream: it holds back a word that may become a link, and an open attribute value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from consumers.guard.finding import Finding
from consumers.guard.link_places import START, VALUE, VALUE_LENGTH, link_places, scheme_start

_WORD: Final = re.compile(r"[^\s<>\"`]*\Z")
_LONGEST_START: Final = 300
"""Characters of the end in which a link may begin: a network path of 253 characters, or the type of a data URL."""

REACH: Final = 40
"""Characters before a link that decide on it: its scheme, and the blanks between a sign of equality and a quote."""

_PARTIAL: Final = re.compile(
    r"data:[\w.+/;=-]{0,200}\Z|[/\\]{2}[^\s/\\<>\"'`]{0,253}\Z|[!#-&*-;=?-_a-~]+\Z", re.IGNORECASE
)
_ESCAPED: Final = re.compile(r"[!#-&*-;=?-_a-~]*[&\\][^\s<>\"'`()]*\Z")
"""A word with a character reference or a backslash, from the first ASCII character of its row."""


@dataclass(frozen=True, slots=True)
class LiveLinks:
    """The detector of links to other hosts than those of the JSON array *hosts*."""

    hosts: str

    def detect(self, text: str, /) -> Iterable[Finding]:
        """Return the links."""
        return [Finding("link", *place) for place in link_places(text, self.hosts)]

    def live_from(self, text: str, /) -> int:
        """Return the start of the first link that may begin or go on at the end of *text*."""
        return min(_starts(text), default=len(text))


def _starts(text: str) -> Iterator[int]:
    word = _begin(_WORD, text, 0)
    if found := START.search(text, word):
        yield scheme_start(text, found.start(), word) if found.lastgroup == "slashes" else found.start()
    yield _begin(_PARTIAL, text, max(word, len(text) - _LONGEST_START))
    if "&" in text or "\\" in text:
        yield _begin(_ESCAPED, text, word)
    for quote in VALUE.finditer(text, max(0, len(text) - VALUE_LENGTH)):
        if text.find(quote[1], quote.end()) < 0:
            yield quote.end()


def _begin(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.search(text, start)
    return found.start() if found else len(text)
