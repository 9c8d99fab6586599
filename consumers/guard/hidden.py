"""Detection of text that is written in invisible characters. Its presence is evidence, since hiding has a purpose.

Three ways are known to reach models. Unicode tags repeat ASCII invisibly (block Tags, U+E0000; UTS #51 gives them one
legitimate use, flags). Variation selectors number 256, so a row of them spells bytes; Unicode defines no sequence with
two. Explicit bidi controls show text in another order than it is read (UAX #9, UTR #36; CVE-2021-42574). The implicit
marks LRM, RLM and ALM move no letter, and legitimate right-to-left text is full of them: they are removed but not
reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from consumers.guard.characters import BLACK_FLAG, FLAG_TAGS

Kind: TypeAlias = Literal["hidden tags", "hidden selectors", "bidi controls"]

_TAGS: Final = 0xE0000
_SELECTORS: Final = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_BYTES: Final = {chr(code): value for value, code in enumerate(_SELECTORS)}
_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(map(chr, range(_TAGS, _TAGS + 0x80)), "hidden tags"),
    **dict.fromkeys(_BYTES, "hidden selectors"),
    **dict.fromkeys("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", "bidi controls"),
}


class Find(NamedTuple):
    """A run of hiding characters."""

    kind: Kind
    start: int
    end: int

    def read(self, text: str) -> str:
        """Return the hidden text, as far as it can be decoded; *text* is the text that contains the run."""
        run = text[self.start : self.end]
        if self.kind == "hidden tags":
            return _printable("".join(chr(ord(char) - _TAGS) for char in run))
        if self.kind == "hidden selectors":
            return _printable(bytes(_BYTES[char] for char in run).decode("utf-8", "ignore"))
        return ""


def find(text: str) -> list[Find]:
    """Return every run that hides something, in order, in linear time."""
    return [found for run in _runs(text) if (found := _without_honest(run, text))]


def _runs(text: str) -> Iterator[Find]:
    first = last = None
    for at in [at for at, char in enumerate(text) if char in _KINDS]:
        if first is None or last is None:
            first = at
        elif last + 1 != at or _KINDS[text[at]] != _KINDS[text[first]]:
            yield Find(_KINDS[text[first]], first, last + 1)
            first = at
        last = at
    if first is not None and last is not None:
        yield Find(_KINDS[text[first]], first, last + 1)


def _without_honest(found: Find, text: str) -> Find | None:
    """Return the run without a flag's tags; None if that is all of it, or if it is a lone selector."""
    if found.kind == "hidden selectors":
        return found if found.end - found.start > 1 else None
    if found.kind == "hidden tags" and text[found.start - 1 : found.start] == BLACK_FLAG:
        honest = next((tags for tags in FLAG_TAGS if text.startswith(tags, found.start)), "")
        found = found._replace(start=found.start + len(honest))
    return found if found.start < found.end else None


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable() or char.isspace())
