"""Disguised ASCII is read as what it looks like; ordinary texts of other scripts have no disguise."""

from __future__ import annotations

import random
import string

import pytest

from consumers.guard.content import Content
from consumers.guard.disguises import ascii_of, disguised, letters_of_ascii
from consumers.guard.normal_form import normalise
from consumers.guard.registry import GuardRegistry
from consumers.guard.stream_guards import stream_guard
from tests.unit.consumers.guard.fakes import context

pytestmark = pytest.mark.anyio

TOKEN = "gh" + "p_" + "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=36))
ADDRESS = "anna.schmidt@kunde-mail.de"
CARD = "4111\u00a01111 1111 1111"


def wide(text: str) -> str:
    """Return the text in full-width letters."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def tags(text: str) -> str:
    """Return the text in invisible tag characters."""
    return "".join(chr(ord(char) + 0xE0000) if "!" <= char <= "~" else char for char in text)


DISGUISES = {
    "full width": wide,
    "invisible tags": tags,
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "control characters": lambda text: f"{text[:6]}\0{text[6:]}",
    "both": lambda text: "\u2060".join(wide(text)),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
@pytest.mark.parametrize("value", [TOKEN, ADDRESS, CARD], ids=["secret", "e-mail", "card"])
async def test_a_disguised_value_leaves_no_answer(disguise: object, value: str) -> None:
    """Answers are not normalised; a stream releases the same, wherever it is cut."""
    assert callable(disguise)
    text = f"日本 it is {disguise(value)} , bye."
    guarded = (await GuardRegistry().pipeline().output(Content(text, "answer"), context())).content.text

    assert guarded.startswith("日本 it is ")
    assert guarded.endswith(" , bye.")
    assert len(guarded) < len(text)
    assert value not in normalise(guarded).text
    assert all(streamed(text[:cut], text[cut:]) == guarded for cut in range(0, len(text), 4))


def streamed(*deltas: str) -> str:
    """Return all that leaves of an answer."""
    stream = stream_guard(GuardRegistry(), Content("", channel="answer"))
    return "".join(map(stream.feed, deltas)) + stream.finish()


@pytest.mark.parametrize(
    "text",
    ["Plain words.\n", "naïve façade", "می\u200cخواهم", "❤\ufe0f 1\ufe0f\u20e3", "한국어 日本語"],
)
def test_ordinary_texts_have_no_disguise(text: str) -> None:
    """Each further reading costs the detectors as much as the text."""
    assert not list(disguised(text))


def test_the_blocks_hold_every_character_that_folds_to_ascii() -> None:
    """A later version of Unicode may add some."""
    folded = {char for char in map(chr, range(0x80, 0x110000)) if ascii_of(char)}
    assert folded <= letters_of_ascii().keys()
