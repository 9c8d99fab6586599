"""The compiled rules: one pass of RE2 tells which match, and only those are searched for their places.

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

MEMORY: Final = 64 * 1024 * 1024
"""Bytes for the states of one automaton at most. RE2 drops them and goes on if a text needs more."""

PLACES: Final = 8
"""Places of one rule that are reported."""

RULES: Final[tuple[Rule, ...]] = (*ENGLISH, *FORGERY, *LANGUAGES)


class RuleSet:
    """Compiled rules."""

    __slots__ = ("_rules", "_searches", "_set")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._set = re2.Set.SearchSet(_options())
        for rule in rules:
            self._set.Add(rule.pattern)
        self._set.Compile()
        self._searches: dict[int, Any] = {}

    def matching(self, text: str) -> tuple[int, ...]:
        """Return the numbers of the rules that match somewhere in the text."""
        return tuple(self._set.Match(text.encode("utf-8", "replace")) or ())

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
