"""Remove the invisible characters of a text, except those that ``character_sets.py`` keeps.

Python is slow for each character, and its C functions are not. So a text becomes one byte for each character, its
class, and the rules work on these bytes. Only a run of characters with a rule costs a step of Python.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import compress, repeat
from typing import Final

from consumers.guard.character_sets import (
    BLACK_FLAG,
    FLAG_TAGS,
    JOINING,
    MONGOLIAN,
    PICTURES,
    REPLACEMENT,
    UNSEEN,
)
from consumers.guard.marks import combining_marks

__all__ = ["REPLACEMENT", "UNSEEN", "visible"]

_PLAIN, _GONE, _MARK, _MONGOLIAN_MARK = b".xcq"
_PICTURE, _KEY, _KEYCAP = b"pkK"
_JOINING, _MONGOLIAN_JOINING, _MONGOLIAN = b"jmM"
_JOINER, _NON_JOINER, _SELECTOR, _MONGOLIAN_SELECTOR, _VOWEL_SEPARATOR = b"wnvfe"
_JOINER_BEFORE_PICTURE, _SELECTOR_BEFORE_KEYCAP = b"WV"

_RUN: Final = re.compile(b"[wWnvVfe]+")
"""Characters that a rule may keep, side by side."""

_SEEN: Final = bytes(code != _GONE for code in range(256))
_KEPT: Final = bytes(code not in b"wWnvVfe" for code in range(256))
_JOINERS: Final = frozenset(b"wWn")
_MARKS: Final = frozenset(b"cq")
_JOINABLE: Final = frozenset(b"jmf")
"""Letters and marks of a joining script. Three of the Mongolian selectors are marks of one."""

_CONTEXTS: Final = frozenset(b"pkmMq")
"""Characters after which a selector may stay."""

_REACH: Final = 64
"""Characters that a rule looks back: more than twice the marks that a letter may bear (marks.py)."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FLAG: Final = re.compile(f"{BLACK_FLAG}(?:{'|'.join(FLAG_TAGS)})")
_BEFORE_PICTURE: Final = re.compile(b"w(?=p)")
_BEFORE_KEYCAP: Final = re.compile(b"v(?=K)")


@cache
def _classes() -> dict[str, int]:
    """Return the class of every character that is not plain."""
    return {
        **dict.fromkeys(UNSEEN, _GONE),
        **dict.fromkeys(PICTURES, _PICTURE),
        **dict.fromkeys("0123456789#*", _KEY),
        "\u20e3": _KEYCAP,
        **{char: _JOINING for char in JOINING - UNSEEN if _is_letter_or_mark(char)},
        **{char: _MONGOLIAN_JOINING if _is_letter_or_mark(char) else _MONGOLIAN for char in MONGOLIAN},
        **{char: _MONGOLIAN_MARK if char in MONGOLIAN else _MARK for char in combining_marks()},
        "\u200c": _NON_JOINER,
        "\u200d": _JOINER,
        **dict.fromkeys("\ufe0e\ufe0f", _SELECTOR),
        **{
            char: _MONGOLIAN_SELECTOR if _is_letter_or_mark(char) else _VOWEL_SEPARATOR
            for char in "\u180b\u180c\u180d\u180e\u180f"
        },
    }


def _is_letter_or_mark(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"


def visible(text: str) -> str:
    """Return *text*, which is in NFKC, without its invisible characters. Takes linear time."""
    text = _SURROGATE.sub(REPLACEMENT, text)
    classes = _classes_of(text)
    if _GONE in classes:
        text = "".join(compress(text, classes.translate(_SEEN)))
        classes = classes.translate(None, bytes((_GONE,)))
    if _RUN.search(classes) is None:
        return text
    return "".join(compress(text, _kept(classes)))


def _classes_of(text: str) -> bytes:
    """Return the class of each character. A rule that looks at the next character looks at the original text."""
    classes = bytearray(map(_classes().get, text, repeat(_PLAIN)))
    if BLACK_FLAG in text:
        for flag in _FLAG.finditer(text):
            classes[flag.start() + 1 : flag.end()] = bytes((_PLAIN,)) * (flag.end() - flag.start() - 1)
    before_picture = _BEFORE_PICTURE.sub(bytes((_JOINER_BEFORE_PICTURE,)), classes)
    return _BEFORE_KEYCAP.sub(bytes((_SELECTOR_BEFORE_KEYCAP,)), before_picture)


def _kept(classes: bytes) -> bytearray:
    """Return a byte for each character: 1 to keep it."""
    kept = bytearray(classes.translate(_KEPT))
    base, distance, done = 0, 0, 0
    for run in _RUN.finditer(classes):
        start, end = run.span()
        last = classes[start - 1] if start else 0
        if last in _MARKS:
            base, distance = _base(classes[done:start], base, distance)
        else:
            base, distance = last, 1
        joins = base in _JOINABLE and distance <= _REACH
        if joins or last in _CONTEXTS:
            newest = _keep(kept, classes, start, end, last=last, joins=joins)
            base, distance = (newest, 1) if newest else (base, distance)
        done = end
    return kept


def _base(between: bytes, base: int, distance: int) -> tuple[int, int]:
    """Return the last character that no reordering moves, and its distance from the end of *between*."""
    bare = between.rstrip(b"cq")
    return (bare[-1], len(between) - len(bare) + 1) if bare else (base, distance + len(between))


def _keep(kept: bytearray, classes: bytes, start: int, end: int, *, last: int, joins: bool) -> int:
    """Mark the characters of one run that stay. Return the class of the last of them, or 0.

    A joiner that stays ends the run: none of the rules holds after it.
    """
    newest = 0
    for at in range(start, end):
        code = classes[at]
        if code in _JOINERS:
            if joins or (code == _JOINER_BEFORE_PICTURE and last == _PICTURE):
                kept[at] = 1
                return code
        elif not newest and _selects(code, last):
            kept[at] = 1
            newest = code
            joins = code == _MONGOLIAN_SELECTOR
    return newest


def _selects(code: int, last: int) -> bool:
    if code == _SELECTOR:
        return last == _PICTURE
    if code == _SELECTOR_BEFORE_KEYCAP:
        return last in (_PICTURE, _KEY)
    return last in (_MONGOLIAN, _MONGOLIAN_JOINING, _MONGOLIAN_MARK)
