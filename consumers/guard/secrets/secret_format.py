"""A rule: one kind of secret, with its published format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from consumers.guard.secrets.strength import is_random

Check: TypeAlias = Callable[[str, str], float]
"""Returns the confidence that a match is a secret, from 0 to 1. Receives the match before the secret, and the secret.

It takes constant time, or time linear in the match."""

START: Final = r"(?:\b|_|\\[bfnrtv])"
"""The start of a token. It may follow an escape of JSON, in which a new line ends with a letter."""

END: Final = r"(?:\b|_)"
"""The end of a token of fixed length."""


@dataclass(frozen=True, slots=True)
class SecretFormat:
    """A format of secrets."""

    kind: str
    """The kind in findings and in replaced texts."""

    pattern: str
    """RE2 pattern. Its only group is the secret; without a group, the whole match is."""

    source: str
    """The publication that describes the format."""

    check: Check = is_random

    generic: bool = False
    """True for a format that also matches other kinds. A finding of another kind at the same place replaces it."""

    started: bool = False
    """True if the pattern begins with START, which is no part of the secret. A pattern without a group is faster."""


def token(kind: str, pattern: str, source: str, check: Check = is_random, *, generic: bool = False) -> SecretFormat:
    """Return the rule of a token that is recognized without its surroundings."""
    return SecretFormat(kind, f"{START}(?:{pattern})", source, check, generic, started=True)


def fixed_token(kind: str, pattern: str, source: str, check: Check = is_random) -> SecretFormat:
    """Return the rule of a token of fixed length: another letter or digit may not follow."""
    return SecretFormat(kind, f"{START}({pattern}){END}", source, check)
