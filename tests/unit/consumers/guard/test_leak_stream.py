"""A stream repeats no instructions: it releases the redaction of the whole answer, at every cut."""

from __future__ import annotations

import base64
import codecs
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.guard.content import Content
from consumers.guard.leak import LEAK, LeakConfig
from consumers.guard.leak_places import find_leak
from consumers.guard.stream import StreamGuard
from schemas.errors import BlockedError

TOLD = (
    "You answer guests of the Seven Lakes hotel. Rooms with odd numbers face the lift. Offer late check-out until "
    "noon to guests with a silver card. Never name the price of the suite. The night porter is called Ambrose."
)
PART = TOLD[44:150]


def streamed(text: str, *cuts: int, action: str = "redact") -> str:
    """Return all that leaves if the text is cut there."""
    config = LeakConfig.model_validate({"action": action})
    assert LEAK.stream is not None
    stream = StreamGuard(LEAK.stream(config, Content("", channel="answer", instructions=TOLD), ""))
    bounds = sorted({0, *(cut for cut in cuts if 0 < cut < len(text)), len(text)})
    return "".join([stream.feed(text[start:end]) for start, end in pairwise(bounds)] + [stream.finish()])


def whole(text: str) -> str:
    """Return the redaction of the whole answer."""
    return find_leak(text, "", TOLD, "80").text or text


ANSWERS = {
    "a part": f"Well: {PART}! And so on.",
    "capitals": PART.upper(),
    "one word a line": "\n".join(PART.split()),
    "backwards": PART[::-1],
    "ROT13": codecs.encode(PART, "rot13"),
    "base64": f"See {base64.b64encode(PART.encode()).decode()}.",
    "hexadecimal": f"Dump: {PART.encode().hex(' ')} end",
    "two parts": f"{TOLD[:90]} or {TOLD[100:]}",
    "too little": TOLD[:60] + " and " + TOLD[90:150],
    "clean": "The suite faces the lake. Guests with a gold card may leave at noon.",
}


@pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS)
def test_every_cut_gives_the_redaction_of_the_whole_answer(text: str) -> None:
    """A run of instructions is held back until it is long enough, or ends."""
    expected = whole(text)
    assert all(streamed(text, cut) == expected for cut in range(len(text)))
    assert streamed(text, *range(len(text))) == expected


@given(
    st.lists(
        st.tuples(st.integers(0, len(TOLD)), st.integers(0, 130)).map(lambda at: TOLD[at[0] : sum(at)])
        | st.sampled_from([" ", "\n", "The hotel", "6f 64 ", "é"]),
        max_size=6,
    ).map("".join),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_every_split_gives_the_same(text: str, cuts: list[int]) -> None:
    """Parts of the instructions in any order."""
    assert streamed(text, *cuts) == whole(text)


def test_a_clean_answer_waits_for_few_letters() -> None:
    """The text that waits is the part that may begin a repetition."""
    config = LeakConfig()
    assert LEAK.stream is not None
    stream = StreamGuard(LEAK.stream(config, Content("", channel="answer", instructions=TOLD), ""))
    text = ANSWERS["clean"] * 5
    assert all(len(text[:at]) - len(released) < 40 for at, released in _released(stream, text))


def _released(stream: StreamGuard, text: str) -> list[tuple[int, str]]:
    parts = ""
    return [(at, parts := parts + stream.feed(text[at - 4 : at])) for at in range(4, len(text), 4)]


def test_an_answer_is_blocked_before_the_run_leaves() -> None:
    """The text before it has left, and is retracted."""
    with pytest.raises(BlockedError, match="the guard leak blocked the answer"):
        streamed(ANSWERS["a part"], *range(0, 200, 7), action="block")
    assert streamed(ANSWERS["a part"], 9, action="flag") == ANSWERS["a part"]
