"""The window keeps the newest whole exchanges that fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.agent.memory.window import estimated_tokens, exchanges_of, history_messages, tokens_of, window
from consumers.agent.models.port import AssistantMessage, UserMessage
from tests.unit.consumers.agent.memory.conversation import conversation, exchange, said

EXCHANGE = 2 * (8 + 4)
"""Tokens of one exchange of ``conversation``."""


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("дом", 2), ("漢字漢字", 3), ("\ud800", 1)]
)
def test_tokens_are_estimated_from_the_bytes(text: str, tokens: int) -> None:
    """Characters alone would count Chinese at a quarter of its tokens."""
    assert estimated_tokens(text) == tokens


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (EXCHANGE - 1, 0), (EXCHANGE, 1), (2 * EXCHANGE, 2), (999, 3)])
def test_whole_exchanges_are_kept_from_the_newest_on(limit: int, kept: int) -> None:
    """An answer without its question misleads the model."""
    entries = conversation(3)

    found = window(entries, limit)

    assert found.kept == entries[6 - 2 * kept :]
    assert found.dropped == entries[: 6 - 2 * kept]


def test_nothing_is_kept_before_a_gap() -> None:
    """A conversation with a hole in it reads as another one."""
    entries = (*exchange(1, "a", "b"), *exchange(2, "x" * 400, "y"), *exchange(3, "c", "d"))

    assert window(entries, 50).kept == entries[4:]


def test_the_summary_takes_its_tokens_first() -> None:
    """The sum is what the model is charged for."""
    summary = said(1, "s" * 4, by="model", role="summary")
    entries = (summary, *conversation(3)[2:])

    found = window(entries, 2 * EXCHANGE)

    assert found.summary == summary
    assert found.kept == entries[3:]


def test_another_count_may_take_the_place_of_the_estimate() -> None:
    """A tokenizer knows better."""
    assert window(conversation(3), 999, lambda text: 1_000).kept == ()


def test_the_summary_is_no_instruction() -> None:
    """Its words come from users and tools, so it must not speak as the operator does."""
    entries = (said(1, "so far", by="model", role="summary"), *exchange(2, "q", "a"))

    title, question, answer = history_messages(window(entries, 999))

    assert isinstance(title, UserMessage)
    assert title.text.endswith("\nso far")
    assert (question, answer) == (UserMessage("q"), AssistantMessage("a"))


@given(sizes=st.lists(st.integers(0, 60), max_size=12), limit=st.integers(-5, 200))
def test_the_window_divides_and_loses_nothing(sizes: list[int], limit: int) -> None:
    """Whatever the sizes: it fits, it is whole, and one exchange more would not fit."""
    entries = tuple(entry for n, size in enumerate(sizes, 1) for entry in exchange(n, "q" * size, "a"))

    found = window(entries, limit)

    assert found.dropped + found.kept == entries
    assert tokens_of(found.kept) <= max(limit, 0)
    if found.dropped:
        newest = exchanges_of(found.dropped)[-1]
        assert tokens_of((*newest, *found.kept)) > limit
