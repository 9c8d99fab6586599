"""Amounts of limits as people write them."""

from __future__ import annotations

import pytest

from ops.cli.amounts import dollars, tokens
from ops.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "value"),
    [("100000", 100_000), ("100_000", 100_000), ("100k", 100_000), ("1.5M", 1_500_000), ("2G", 2 * 10**9), (" 7 ", 7)],
)
def test_tokens_are_a_whole_number_with_a_unit(text: str, value: int) -> None:
    """Limits have many zeros, and a wrong one is expensive."""
    assert tokens(text) == value


@pytest.mark.parametrize(("text", "value"), [("200", 200), ("$0.50", 0.5), ("1k", 1_000)])
def test_dollars_may_have_decimals(text: str, value: float) -> None:
    """A budget of a test tenant is less than a dollar."""
    assert dollars(text) == value


@pytest.mark.parametrize("text", ["0", "none", "None", "0.0"])
def test_zero_and_none_lift_a_limit(text: str) -> None:
    """A limit of zero would refuse every call, which a removed tenant does better."""
    assert tokens(text) is None
    assert dollars(text) is None


@pytest.mark.parametrize("text", ["", "k", "-1", "nan", "inf", "many", "1K", "0.5", "2000G", "10 000"])
def test_what_is_no_number_of_tokens_is_refused(text: str) -> None:
    """``K`` may mean 1,024; half a token does not exist."""
    with pytest.raises(InvalidError, match=r"limit|whole number"):
        tokens(text)


def test_more_dollars_than_the_store_counts_exactly_are_refused() -> None:
    """The store counts picodollars."""
    with pytest.raises(InvalidError, match="more than 1,000,000, the highest limit"):
        dollars("1000001")
