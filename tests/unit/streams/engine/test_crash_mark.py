"""The mark of a shard's owner as text, in both versions, and damaged."""

from __future__ import annotations

import pytest

from streams.engine.crash_mark import NO_STORE, CrashMark, decode, encode, is_store


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1|a", "1|a|", "1|a|x", "1|a|-1", "1|a|²", "1|a|9999999", "1|a|1|2|s", "|||"),
        *("2|a|1", "2|a|1|2", "2|a|1|2|s|", "2|a|x|2|s", "2|a|1|-2|s", "2|a|1||s", "2|a|1|²|s", "2|a|1|2|s s"),
        *("2|a|1|2|é", "2|a|1|9999999999999999|s", "3|a|1|2|s", "2|a|1|2|" + "s" * 201),
    ],
)
def test_a_mark_that_cannot_be_read_suspects_and_counts_nothing(text: str) -> None:
    """Metadata may have been written by another version, or by a tool."""
    assert decode(text) == CrashMark()


def test_a_mark_reads_as_it_was_written() -> None:
    """Both ways."""
    for mark in (
        CrashMark(),
        CrashMark("0a1b", 0),
        CrashMark("0a1b", 7, 10**14, "run-1:slot.2"),
        CrashMark(store=NO_STORE),
    ):
        assert decode(encode(mark)) == mark


def test_a_mark_of_version_1_has_no_life_and_no_store() -> None:
    """Its writer started no tools."""
    assert decode("1|0a1b|7") == CrashMark("0a1b", 7, 0, "")


def test_a_store_with_the_separator_or_a_space_in_its_name_is_none() -> None:
    """It could not be read back."""
    assert [is_store(text) for text in ("a:b", "a|b", "a b", "a\n", "s" * 201)] == [True, False, False, False, False]
