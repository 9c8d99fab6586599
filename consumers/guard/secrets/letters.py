"""The bytes that patterns read: one for each character, so that offsets in them are offsets in the text.

RE2 reads bytes, and the offsets of UTF-8 differ from those of the text. All published formats are ASCII. So a character
of another script needs no byte of its own, and only ends a value.
"""

from __future__ import annotations

import re
from typing import Any, Final

import re2

_LITERAL: Final = re.compile(r"\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]|\\.")
"""A class of characters, or an escaped character: the places in which a question mark is no sign."""

OPTIONS: Final = re2.Options()
OPTIONS.encoding = re2.Options.Encoding.LATIN1
OPTIONS.log_errors = False
OPTIONS.max_mem = 64 << 20
"""Patterns are matched against the bytes of ``letters_of``. The limit is that of the automaton's cache."""


def adapted(pattern: str) -> bytes:
    """Return the pattern for the bytes of ``letters_of``, in which a question mark is the byte 0x7f."""
    return _LITERAL.sub(lambda found: found[0].replace(r"\?", "?").replace("?", r"\x7f"), pattern).encode()


def compiled(pattern: bytes) -> Any:  # noqa: ANN401 - RE2 has no types
    """Return the compiled pattern. Raise ValueError if it is too large for RE2."""
    try:
        return re2.compile(pattern, OPTIONS)
    except re2.error as error:
        raise ValueError(f"the rules are too large for RE2: {error.args[0]!r}") from error


def letters_of(text: str) -> bytes:
    """Return one byte for each character: Latin-1, with 0x7f for a question mark and 0x3f for other scripts."""
    return text.replace("?", "\x7f").encode("latin-1", "replace")
