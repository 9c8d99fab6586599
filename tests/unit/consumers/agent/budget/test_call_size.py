"""The estimate of what a model call can use."""

from __future__ import annotations

from decimal import Decimal

import pytest

from consumers.agent.budget.call_size import SizeEstimate, prompt_tokens
from consumers.agent.models.port import AssistantMessage, ModelRequest, SystemMessage, ToolCall, ToolSpec, UserMessage
from consumers.agent.models.prices import ModelPrice

PRICE = ModelPrice(name="m", input=Decimal(2), output=Decimal(8))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 4), ("abc", 5), ("abcd", 6), ("\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 30, 34), ("\ud800", 5)],
)
def test_a_prompt_is_estimated_from_its_bytes(text: str, tokens: int) -> None:
    """Chinese has a token a character, English one for three; half of a surrogate pair is no crash."""
    assert prompt_tokens(ModelRequest((UserMessage(text),))) == tokens


def test_tools_and_earlier_calls_are_part_of_the_prompt() -> None:
    """The provider charges them as input."""
    bare = prompt_tokens(ModelRequest((SystemMessage("s"), AssistantMessage())))
    called = AssistantMessage("", (ToolCall("1", "order", '{"item": "tea"}' * 10),))
    spec = ToolSpec("order", "Order an item.", {"type": "object"})

    assert prompt_tokens(ModelRequest((SystemMessage("s"), called))) > bare + 50
    assert prompt_tokens(ModelRequest((SystemMessage("s"), AssistantMessage()), tools=(spec,))) > bare + 10


def test_a_stated_maximum_is_reserved_whole() -> None:
    """The model may write so much."""
    size = SizeEstimate()(ModelRequest((UserMessage("abc"),), max_output_tokens=70), "m")
    assert (size.output_tokens, size.least_output_tokens, size.least_tokens) == (70, 70, 75)


def test_a_call_without_a_maximum_reserves_the_default_or_less() -> None:
    """One token is the least that an answer has."""
    size = SizeEstimate(output_tokens=500)(ModelRequest((UserMessage("abc"),)), "m")
    assert (size.output_tokens, size.least_output_tokens) == (500, 1)


def test_money_is_the_price_of_prompt_and_output_in_picodollars() -> None:
    """A price of a dollar for a million tokens is a million picodollars a token."""
    estimate = SizeEstimate({"m": PRICE}.get)
    request = ModelRequest((UserMessage("abc"),), max_output_tokens=70)

    assert estimate(request, "m")[3:] == (5 * 2_000_000, 8_000_000)
    assert estimate(request, "unknown")[3:] == (0, 0)
