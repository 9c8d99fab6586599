"""A group of rules as automata: which secrets a text contains, and which its end may become.

A set of patterns is one automaton (RE2), which reads the text once and names the rules that match somewhere. Each of
these then searches alone. Patterns see one byte for each character, so offsets do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import re2

from consumers.guard.finding import Finding
from consumers.guard.secrets.ends import FIXED, Ends
from consumers.guard.secrets.expressions import beginnings_of
from consumers.guard.secrets.letters import OPTIONS, adapted, compiled
from consumers.guard.secrets.rules import RULES
from consumers.guard.secrets.secret_format import SecretFormat

_OPENING: Final = {ord("_"): 1, ord("\\"): 2}
"""Characters of START, by the first of them."""


class FormatMatch(NamedTuple):
    """A secret by one rule."""

    finding: Finding
    generic: bool
    """True if a match of another kind at the same place is better."""


class _PatternSet:
    """A part of the rules in one automaton. It has a state for each combination of its rules' partial matches."""

    def __init__(self, rules: Sequence[SecretFormat], part: Sequence[int]) -> None:
        self._part = part
        self._set = re2.Set.SearchSet(OPTIONS)
        for index in part:
            self._set.Add(adapted(rules[index].pattern))
        self._set.Compile()

    def matching(self, letters: bytes) -> list[int]:
        """Return the rules that match somewhere."""
        return [self._part[index] for index in self._set.Match(letters) or ()]


class SecretFormats:
    """Compiled rules. Raise ValueError if they are too large for an automaton."""

    def __init__(self, rules: Iterable[SecretFormat]) -> None:
        self._rules = tuple(rules)
        self._patterns = [compiled(adapted(rule.pattern)) for rule in self._rules]
        self._sets = [_PatternSet(self._rules, part) for part in _parts(self._rules)]
        self._ends = Ends(rule.pattern for rule in self._rules)

    def matches(self, letters: bytes) -> Iterator[FormatMatch]:
        """Yield the secrets, in the order of the rules. Takes linear time."""
        for patterns in self._sets:
            for index in patterns.matching(letters):
                yield from self._by(self._rules[index], self._patterns[index], letters)

    def live_from(self, letters: bytes) -> int:
        """Return the offset from which the end of a growing text may become a secret; its length if none may."""
        return self._ends.live_from(letters)

    def _by(self, rule: SecretFormat, pattern: Any, letters: bytes) -> Iterator[FormatMatch]:  # noqa: ANN401 - RE2 has no types
        for match in pattern.finditer(letters):
            start, end = match.span(match.lastindex or 0)
            start += _OPENING.get(letters[start], 0) if rule.started else 0
            before, secret = letters[match.start() : start], letters[start:end]
            if score := rule.check(before.decode("latin-1"), secret.decode("latin-1")):
                yield FormatMatch(Finding(rule.kind, start, end, score), rule.generic)


def _parts(rules: Sequence[SecretFormat]) -> list[list[int]]:
    """Return the rules in three parts: with fixed first letters, without, and generic. Counts of one do not multiply
    the states of another.
    """
    parts: dict[tuple[bool, bool], list[int]] = {}
    for index, rule in enumerate(rules):
        parts.setdefault((rule.generic, beginnings_of(rule.pattern).fixed < FIXED), []).append(index)
    return list(parts.values())


@cache
def own_formats() -> SecretFormats:
    """Return Headrace's own rules, compiled once in each process: this takes a fifth of a second."""
    return SecretFormats(RULES)
