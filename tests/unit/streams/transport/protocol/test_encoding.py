"""Numbers and texts of Kafka's flexible encoding, against aiokafka's own."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol import types
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.protocol.encoding import ResponseReader, array, name, sized, text
from streams.varints import uvarint

VARINT: Any = types.UnsignedVarInt32
TEXT: Any = types.CompactString("utf-8")


@given(st.integers(0, 2**31 - 1))
def test_a_number_takes_as_few_bytes_as_aiokafkas(number: int) -> None:
    """Both ways."""
    assert uvarint(number) == VARINT.encode(number)
    answer = ResponseReader(uvarint(number))
    assert answer.uvarint() == VARINT.decode(BytesIO(uvarint(number))) == number
    assert answer.at == len(uvarint(number))


@given(st.text(max_size=300))
def test_a_text_is_read_as_it_was_written(words: str) -> None:
    """By both; its length is that of its bytes."""
    assert text(words) == name(words) == TEXT.encode(words)
    assert ResponseReader(text(words)).text() == words


def test_a_text_that_is_not_there_is_empty() -> None:
    """The reader goes on behind it."""
    answer = ResponseReader(b"\x00" + text("next"))
    assert (answer.text(), answer.text()) == ("", "next")


def test_an_array_that_is_not_there_has_no_items() -> None:
    """Nor has an empty one."""
    answer = ResponseReader(b"\x00" + array([]) + array([sized(b"a"), sized(b"b")]))
    assert [list(answer.items()) for _ in range(2)] == [[], []]
    assert [answer.text() for _ in answer.items()] == ["a", "b"]


def test_tags_are_found_by_number_and_passed_over() -> None:
    """What a newer broker adds breaks nobody."""
    fields = uvarint(2) + uvarint(1) + uvarint(2) + b"\x00\x05" + uvarint(200) + uvarint(200) + b"x" * 200
    answer = ResponseReader(fields + text("next"))
    tags = answer.tags()
    assert set(tags) == {1, 200}
    assert tags[1].int16() == 5
    assert answer.text() == "next"


def test_an_answer_that_ends_too_early_is_an_error() -> None:
    """The connection is closed then, and the request's outcome is not known."""
    with pytest.raises(IndexError):
        ResponseReader(b"\x80").uvarint()
