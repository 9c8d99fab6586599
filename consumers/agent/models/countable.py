"""Token counts that can be added up: a model of a plugin may state any value."""

from __future__ import annotations

import math
from typing import Final

from consumers.agent.models.port import ModelUsage

TOKENS_LIMIT: Final = 1_000_000_000
"""The most tokens that one call is counted with. Limits and prices stay exact with it."""


def is_countable(given: object) -> bool:
    """Return True for a whole number from 0 to TOKENS_LIMIT."""
    return type(given) is int and 0 <= given <= TOKENS_LIMIT


def countable(given: object) -> int:
    """Return a number of tokens: 0 for a value that is no number of them, and a whole number for a fraction."""
    if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given):
        return 0
    return math.ceil(min(max(given, 0), TOKENS_LIMIT))


def countable_usage(usage: ModelUsage) -> ModelUsage:
    """Return the usage with countable tokens and without a price; the same object if its tokens are countable."""
    tokens = (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)
    return usage if all(map(is_countable, tokens)) else ModelUsage(*map(countable, tokens))
