"""Evidence that a value is a secret: its entropy, its checksum, and the absence of a placeholder's marks."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any, Final
from zlib import crc32

import re2


def searcher(pattern: str) -> Any:  # noqa: ANN401 - RE2 has no types
    """Return a pattern of RE2, whose time does not depend on the number of its alternatives."""
    return re2.compile(pattern)


PLACEHOLDER: Final = searcher(
    r"(?i)x{5}|\*{3}|\.{3}|_{4}|-{4}|<[a-z]|\$[({]|\{\{|%\(|example|placeholder|your[-_]?(?:own|api|key|token|secret|pass)"
    r"|change[-_]?(?:me|it)|redacted|removed|dummy|insert[-_]|replace[-_]?(?:me|with)|00000000|11111111"
)
"""Marks of a value for a reader to replace, or that another tool has replaced."""

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GITHUB: Final = re.compile(r"(?:gh[pousr]|npm)_([0-9A-Za-z]{30})([0-9A-Za-z]{6})")
_PREFIX: Final = re.compile(r"^(?:[A-Za-z]{2,12}[-_.])+")

CERTAIN: Final = 1.0
LIKELY: Final = 0.9
POSSIBLE: Final = 0.7


def entropy(value: str) -> float:
    """Return Shannon's entropy of the characters, in bits for each of them."""
    size = len(value)
    counts = map(value.count, set(value))
    return math.log2(size) - sum(count * math.log2(count) for count in counts) / size if size else 0.0


def is_random(_before: str, secret: str) -> float:
    """Return LIKELY unless the value is a placeholder: it has a mark of one, or few different characters."""
    if PLACEHOLDER.search(secret):
        return 0.0
    return LIKELY if entropy(_PREFIX.sub("", secret, count=1)) >= 2.5 else 0.0  # noqa: PLR2004 - hex has 4 bits at most


def has_digit(before: str, secret: str) -> float:
    """Return the result of ``is_random`` for values with a digit and a letter: no words of prose."""
    return is_random(before, secret) if re.search("[0-9]", secret) and re.search("[A-Za-z]", secret) else 0.0


def github_checksum(before: str, secret: str) -> float:
    """Return CERTAIN if the checksum is right: the last six characters are CRC-32 of the thirty before, in base 62.

    A wrong checksum still gives LIKELY: the value may be cut, or of a newer format. Source: GitHub Engineering,
    "Behind GitHub's new authentication token formats" (2021). npm uses the same format.
    """
    parts = _GITHUB.fullmatch(secret)
    if parts and base62(crc32(parts[1].encode())).rjust(6, "0") == parts[2]:
        return CERTAIN
    return is_random(before, secret)


def base62(number: int) -> str:
    """Return the number in digits, capital and small letters."""
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits


def is_jwt(_before: str, secret: str) -> float:
    """Return CERTAIN if the first part decodes to a header of JOSE (RFC 7515, section 4): an object with ``alg``."""
    try:
        header = json.loads(_decoded(secret.partition(".")[0]))
    except ValueError:
        return 0.0
    return CERTAIN if isinstance(header, dict) and isinstance(header.get("alg"), str) else 0.0


def is_basic(_before: str, secret: str) -> float:
    """Return LIKELY if the value decodes to a user and a password (RFC 7617, section 2)."""
    return LIKELY if re.fullmatch(rb"[\x20-\x39\x3b-\x7e]*:[\x20-\x7e]+", _decoded(secret)) else 0.0


def is_discord(before: str, secret: str) -> float:
    """Return LIKELY if the first part decodes to a number: the bot's identifier."""
    return is_random(before, secret) if _decoded(secret.partition(".")[0]).isdigit() else 0.0


def has_key_block(_before: str, secret: str) -> float:
    """Return CERTAIN if there is a key between the lines of a PEM block (RFC 7468)."""
    body = secret.partition("KEY")[2]
    if PLACEHOLDER.search(body.replace("-----", "")):
        return 0.0
    runs = re.findall(r"[A-Za-z0-9+/=]{12,}", body)
    return CERTAIN if entropy("".join(runs)[:400]) >= 3 else 0.0  # noqa: PLR2004 - base64 of a key has almost 6


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(
            part.replace("+", "-").replace("/", "_").rstrip("=") + "=" * (-len(part.rstrip("=")) % 4)
        )
    except binascii.Error:
        return b""
