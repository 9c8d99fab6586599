"""Regular expressions with their beginnings: the part of a match that a growing text may end with.

The beginning of ``ab+`` matches "", "a" and "ab": each text that can grow to a match. Anchored to the end of a text, it
finds the first offset from which the text may still become a match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import re2

from consumers.guard.secrets.letters import OPTIONS

LONGEST: Final = 1_000
"""Characters of one pattern at most."""

LARGEST: Final = 1_000
"""Instructions of one pattern at most, as RE2 counts them: a repetition has those of each time."""

_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]")
_ESCAPE: Final = re.compile(r"\\(?:x[0-9a-fA-F]{2}|[^\w]|[dDwWsSnrtfv])")
_GROUP: Final = re.compile(r"\((\?:|\?i:|\?P?<\w+>|(?!\?))")
_TIMES: Final = re.compile(r"(?:([?*+])|\{(\d+)(,?)(\d*)\})\??")
_IS_CLASS: Final = re.compile(r"\[|\\[dDwWsS]")
_ZERO_WIDTH: Final = re.compile(r"\\[bBAz]|[\^$]")
_COUNTED: Final = 4
"""The most repetitions of one character that beginnings count. An automaton has a state for each count, so beginnings
take more as any number: they also match some texts that cannot become a match."""

_SIGNS: Final = {"?": (0, 1), "*": (0, None), "+": (1, None)}


class _Part(NamedTuple):
    full: str
    begin: str
    """Matches each beginning of the part, the empty one included."""

    head: str
    """Matches the first characters of each match, up to the first repetition."""

    whole: bool = True
    """True if the head is the whole part."""

    fixed: int = 0
    """Letters that the head has at least, classes of characters excluded."""

    char: bool = False
    """True if it matches exactly one character."""


class _Reader:
    """A recursive-descent reader of the syntax that rules use: a subset of RE2's."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def all(self) -> _Part:
        part = self._choice()
        if self._at < len(self._pattern):
            raise self._unknown()
        return part

    def _choice(self) -> _Part:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else _either(options)

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            parts.append(self._repeated(self._one()))
        return _joined(parts)

    def _repeated(self, part: _Part) -> _Part:
        if not (sign := self._match(_TIMES)):
            return part
        least, most = _times(sign)
        head, fixed = (part.head, part.fixed) if least else ("", 0)
        if part.char and (most is None or most > _COUNTED):
            return _Part(f"{part.full}*", f"{part.full}*", head, whole=False, fixed=fixed)
        full = f"(?:{part.full}){{{least},{'' if most is None else most}}}"
        if part.char:
            return _Part(full, f"{part.full}{{0,{most}}}", head, whole=False, fixed=fixed)
        before = f"(?:{part.full})*" if most is None else f"(?:{part.full}){{0,{max(0, most - 1)}}}"
        return _Part(full, before + part.begin, head, whole=False, fixed=fixed)

    def _one(self) -> _Part:
        if opening := self._match(_GROUP):
            return self._group("(?i:" if opening[1] == "?i:" else "(?:")
        if zero := self._match(_ZERO_WIDTH):
            return _Part(zero[0], "", zero[0])
        if char := self._match(_CLASS) or self._match(_ESCAPE):
            return _Part(char[0], f"{char[0]}?", char[0], char=True, fixed=int(not _IS_CLASS.match(char[0])))
        return self._letter()

    def _group(self, opening: str) -> _Part:
        inner = self._choice()
        if not self._take(")"):
            raise self._unknown()
        return inner._replace(
            full=f"{opening}{inner.full})",
            begin=f"{opening}{inner.begin})",
            head=f"{opening}{inner.head})",
            char=False,
        )

    def _letter(self) -> _Part:
        letter = self._pattern[self._at]
        if letter in "()[]{}\\*+?":
            raise self._unknown()
        self._at += 1
        return _Part(letter, f"{letter}?", letter, char=True, fixed=int(letter != "."))

    def _take(self, letter: str) -> bool:
        found = self._pattern.startswith(letter, self._at)
        self._at += found
        return found

    def _match(self, syntax: re.Pattern[str]) -> re.Match[str] | None:
        found = syntax.match(self._pattern, self._at)
        self._at = found.end() if found else self._at
        return found

    def _unknown(self) -> ValueError:
        return ValueError(f"the pattern has unsupported syntax at character {self._at}")


class Beginnings(NamedTuple):
    """The patterns of a rule for the end of a growing text."""

    begin: str
    """Matches all beginnings of matches, and some other texts."""

    head: str
    """Matches the first characters of each match."""

    head_begin: str
    """Matches all beginnings of the head."""

    fixed: int
    """Letters that each head has at least."""


def beginnings_of(pattern: str) -> Beginnings:
    """Return the patterns of a rule's beginnings. Raise ValueError for syntax that this module does not read."""
    part = _Reader(pattern).all()
    return Beginnings(part.begin, part.head, _Reader(part.head).all().begin, part.fixed)


def checked(pattern: str) -> str:
    """Return *pattern* if it can be a rule. Raise ValueError if not."""
    if not pattern.isascii() or len(pattern) > LONGEST:
        raise ValueError(f"the pattern is not ASCII, or has more than {LONGEST} characters")
    try:
        compiled = re2.compile(pattern.encode(), OPTIONS)
    except re2.error as error:
        raise ValueError(f"the pattern is not valid in RE2: {error.args[0]!r}") from error
    if compiled.groups > 1 or compiled.search(b"") is not None:
        raise ValueError("the pattern matches the empty text, or has more than one group")
    if compiled.programsize > LARGEST:
        raise ValueError(f"the pattern has {compiled.programsize} instructions in RE2; the limit is {LARGEST}")
    beginnings_of(pattern)
    return pattern


def _times(sign: re.Match[str]) -> tuple[int, int | None]:
    if sign[1]:
        return _SIGNS[sign[1]]
    least = int(sign[2])
    if not sign[3]:
        return least, least
    return least, int(sign[4]) if sign[4] else None


def _either(options: Sequence[_Part]) -> _Part:
    return _Part(
        _choice_of(each.full for each in options),
        _choice_of(each.begin for each in options),
        _choice_of(each.head for each in options),
        whole=all(each.whole for each in options),
        fixed=min(each.fixed for each in options),
    )


def _choice_of(options: Iterable[str]) -> str:
    return f"(?:{'|'.join(options)})"


def _joined(parts: Sequence[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    headed = [*takewhile(lambda part: part.whole, parts)]
    headed += parts[len(headed) : len(headed) + 1]
    return _Part(
        "".join(part.full for part in parts),
        _beginning(parts),
        "".join(part.head for part in headed),
        whole=all(part.whole for part in parts),
        fixed=sum(part.fixed for part in headed),
    )


def _beginning(parts: Sequence[_Part]) -> str:
    begin = ""
    for part in reversed(parts):
        begin = f"(?:{part.full}{begin})?" if part.char or not part.begin else f"(?:{part.begin}|{part.full}{begin})"
    return begin
