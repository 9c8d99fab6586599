"""Placeholders stand for one value each, and only those that the platform wrote are restored."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.placeholders import escaped, merged, numbered, restored


class At(NamedTuple):
    kind: str
    start: int
    end: int


def place(kind: str, text: str, value: str) -> At:
    """Return the value's place."""
    return At(kind, text.index(value), text.index(value) + len(value))


def test_values_are_numbered_by_kind_in_the_order_of_the_text() -> None:
    """The same text always gets the same placeholders."""
    text = "a@x.example, 8.8.8.8, b@x.example"
    found = [
        place("email", text, "a@x.example"),
        place("ip_address", text, "8.8.8.8"),
        place("email", text, "b@x.example"),
    ]
    assert numbered(text, found, {}) == (
        "<EMAIL_1>, <IP_1>, <EMAIL_2>",
        {"<EMAIL_1>": "a@x.example", "<IP_1>": "8.8.8.8", "<EMAIL_2>": "b@x.example"},
    )


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("email", "A@X.example", "a@x.example"),
        ("payment_card", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("iban", "de89370400440532013000", "DE89 3704 0044 0532 0130 00"),
        ("us_ssn", "123-45-6789", "123456789"),
        ("phone", "+1 (415) 555-2671", "+1-415-555-2671"),
        ("ip_address", "2A02::1", "2a02::1"),
    ],
)
def test_one_value_in_two_spellings_has_one_placeholder(kind: str, one: str, other: str) -> None:
    """The model sees that both are the same. The first spelling is restored."""
    text = f"{one} and {other}"
    found = [At(kind, 0, len(one)), At(kind, len(one) + 5, len(text))]
    result = numbered(text, found, {})
    assert list(result.placeholders.values()) == [one]
    assert numbered(other, [At(kind, 0, len(other))], result.placeholders) == (next(iter(result.placeholders)), {})


def test_different_values_keep_different_placeholders() -> None:
    """The dots of an address are part of it."""
    text = "a.b@x.example ab@x.example"
    result = numbered(text, [At("email", 0, 13), At("email", 14, 26)], {})
    assert len(result.placeholders) == 2


def test_a_new_value_takes_no_number_that_is_known_or_written() -> None:
    """A literal in the text would otherwise stand for the value."""
    text = "<EMAIL_2> b@x.example"
    result = numbered(text, [At("email", 10, 21)], {"<EMAIL_1>": "a@x.example"})
    assert result == ("<EMAIL_2> <EMAIL_3>", {"<EMAIL_3>": "b@x.example"})


def test_a_great_literal_number_does_not_exhaust_the_numbers() -> None:
    """A placeholder with more digits than the pattern allows would never be restored."""
    text = "<EMAIL_9999999> b@x.example"
    assert numbered(text, [At("email", 16, 27)], {}).text == "<EMAIL_9999999> <EMAIL_1>"


def test_placeholders_are_restored_in_all_strings_of_a_value() -> None:
    """Tool arguments are nested JSON, and a key can be a value too."""
    known = {"<EMAIL_1>": "a@x.example", "<IP_1>": "8.8.8.8"}
    arguments = {"to": ["<EMAIL_1>"], "body": "from <IP_1> to <EMAIL_1>", "<EMAIL_1>": {"n": 1, "none": None}}
    assert restored(arguments, known) == {
        "to": ["a@x.example"],
        "body": "from 8.8.8.8 to a@x.example",
        "a@x.example": {"n": 1, "none": None},
    }


@pytest.mark.parametrize(
    "text", ["<EMAIL_2>", "<email_1>", "EMAIL_1", "<EMAIL_1 >", "<EMAIL_01>", "<EMAIL_1", "&lt;EMAIL_1&gt;"]
)
def test_only_exact_known_placeholders_are_restored(text: str) -> None:
    """Anything near would let a text choose what it becomes."""
    assert restored(text, {"<EMAIL_1>": "a@x.example"}) == text


def test_a_restored_value_is_not_restored_again() -> None:
    """A value that looks like a placeholder would fetch another's value."""
    known = {"<X_1>": "<X_2>", "<X_2>": "secret"}
    assert restored("<X_1> <<X_1>>", known) == "<X_2> <<X_2>>"


def test_a_literal_of_a_user_is_not_restored() -> None:
    """A user who writes a placeholder must not receive the value of somebody else's text."""
    text = escaped("send it to <EMAIL_1> and me@x.example")
    result = numbered(text, [place("email", text, "me@x.example")], {"<EMAIL_1>": "other@x.example"})
    assert result.text == "send it to [EMAIL_1] and <EMAIL_2>"
    assert restored(result.text, {"<EMAIL_1>": "other@x.example", **result.placeholders}) == (
        "send it to [EMAIL_1] and me@x.example"
    )


@given(st.text(alphabet="<>EMAIL_1[] 0", max_size=60), st.text(alphabet="<>EMAIL_1[]", max_size=8))
def test_no_text_of_a_user_contains_a_placeholder_once_it_is_escaped(text: str, nested: str) -> None:
    """Removing one literal must not form another."""
    text = text.replace("MAIL", f"EMAIL{nested}")
    assert restored(escaped(text), {f"<EMAIL_{number}>": "leak" for number in range(100)}).count("leak") == 0
    assert len(escaped(text)) == len(text)


def test_placeholders_of_the_platform_can_be_kept() -> None:
    """The model's answer has those of its run."""
    assert escaped("<EMAIL_1> <EMAIL_2>", {"<EMAIL_1>": "a"}) == "<EMAIL_1> [EMAIL_2]"


def test_a_request_is_renumbered_to_its_session() -> None:
    """The guard stage numbers every request from 1, and the session has numbers already."""
    session = {"<EMAIL_1>": "a@x.example", "<EMAIL_2>": "b@x.example"}
    request = {"<EMAIL_1>": "B@x.example", "<EMAIL_2>": "c@x.example"}
    assert merged(session, request, "<EMAIL_1> writes to <EMAIL_2>") == (
        {"<EMAIL_1>": "a@x.example", "<EMAIL_2>": "b@x.example", "<EMAIL_3>": "c@x.example"},
        "<EMAIL_2> writes to <EMAIL_3>",
    )


def test_a_swap_of_numbers_is_made_at_once() -> None:
    """Replacing one after another would rename a placeholder twice."""
    session = {"<EMAIL_1>": "a@x.example", "<EMAIL_2>": "b@x.example"}
    request = {"<EMAIL_1>": "b@x.example", "<EMAIL_2>": "a@x.example"}
    assert merged(session, request, "<EMAIL_1> <EMAIL_2>").text == "<EMAIL_2> <EMAIL_1>"


def test_a_literal_that_no_guard_wrote_is_escaped_when_a_request_joins_its_session() -> None:
    """A tenant can switch the guard off, and the session still has values of tools."""
    session = {"<EMAIL_1>": "other@x.example"}
    assert merged(session, {}, "to <EMAIL_1>") == (session, "to [EMAIL_1]")


def test_merging_twice_changes_nothing_more() -> None:
    """A resumed run merges its request again."""
    once = merged({}, {"<EMAIL_1>": "a@x.example"}, "<EMAIL_1>")
    assert merged(once.placeholders, {"<EMAIL_1>": "a@x.example"}, "<EMAIL_1>") == once
