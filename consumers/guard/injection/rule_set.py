"""The compiled rules: a few passes of RE2 tell which match, and only those are searched for their places.

RE2 takes linear time for every expression and every text (R. Cox, "Regular Expression Matching in the Wild", 2010).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

import re2

from consumers.guard.injection.english_rules import ENGLISH
from consumers.guard.injection.forgery_rules import FORGERY
from consumers.guard.injection.language_rules import LANGUAGES
from consumers.guard.injection.rule import Rule
from consumers.guard.views import Span

MEMORY: Final = 16 * 1024 * 1024
"""Bytes for the states of one automaton at most. RE2 drops them and goes on if a text needs more."""

TOGETHER: Final = 8
"""Rules of one automaton. It has a state for each combination of half-matched rules, so all in one have too many."""

PLACES: Final = 8
"""Places of one rule that are reported."""

RULES: Final[tuple[Rule, ...]] = (*ENGLISH, *FORGERY, *LANGUAGES)


class RuleSet:
    """Compiled rules."""

    __slots__ = ("_rules", "_searches", "_sets")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._sets = [(first, _compiled(rules[first : first + TOGETHER])) for first in range(0, len(rules), TOGETHER)]
        self._searches: dict[int, Any] = {}

    def matching(self, text: str) -> tuple[int, ...]:
        """Return the numbers of the rules that match somewhere in the text."""
        encoded = text.encode("utf-8", "replace")
        return tuple(first + number for first, each in self._sets for number in each.Match(encoded) or ())

    def rule(self, number: int) -> Rule:
        """Return the rule of this number."""
        return self._rules[number]

    def places(self, number: int, text: str) -> Iterator[Span]:
        """Yield the first places at which the rule matches."""
        search = self._searches.get(number)
        if search is None:
            search = self._searches[number] = re2.compile(self._rules[number].pattern, _options())
        for found in islice(search.finditer(text), PLACES):
            yield found.span()


def _compiled(rules: Sequence[Rule]) -> Any:  # noqa: ANN401 - re2 has no types
    compiled = re2.Set.SearchSet(_options())
    for rule in rules:
        compiled.Add(rule.pattern)
    compiled.Compile()
    return compiled


def _options() -> Any:  # noqa: ANN401 - re2 has no types
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.dot_nl = False
    options.log_errors = False
    options.max_mem = MEMORY
    return options


@cache
def rule_set() -> RuleSet:
    """Return the compiled RULES. It is made once: some tens of milliseconds."""
    return RuleSet(RULES)
