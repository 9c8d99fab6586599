"""What nobody sees goes, and what a script or an emoji needs stays."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from consumers.guard.characters import REPLACEMENT, UNSEEN, visible
from consumers.guard.normalise import GROWTH, normalise

EVERY = tuple(map(chr, range(sys.maxunicode + 1)))

NEEDED = {
    "family": "👨\u200d👩\u200d👧\u200d👦",
    "skin tone in a sequence": "👩🏽\u200d🚀",
    "heart with its selector": "❤\ufe0f\u200d🔥 ❤\ufe0f",
    "text style": "☎\ufe0e",
    "rainbow flag": "🏳\ufe0f\u200d🌈",
    "head shaking": "🙂\u200d↔\ufe0f",
    "emoji of a later Unicode": "\U0001fae8\u200d\U0001fae9",
    "country flags": "🇩🇪🇫🇷",
    "keycaps": "1\ufe0f⃣ #\ufe0f⃣",
    "flag of Scotland": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "flags of Wales": "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f" * 2,
    "Persian": "می\u200cخواهم",
    "Persian abbreviation": "ه\u200d.ش",
    "Persian with a vowel mark": "کِ\u200cخ",
    "Devanagari": "क्\u200dष क्\u200cष",
    "old Malayalam, at the end of a word": "അവന്\u200d വന്നു",
    "Sinhala": "ශ්\u200dරී",
    "Bengali, before the virama": "র\u200d্যা",
    "Mongolian": "ᠨᠠ\u180b ᠬᠠᠷ\u180eᠠ",
}


@pytest.mark.parametrize("text", NEEDED.values(), ids=NEEDED)
def test_what_a_script_or_an_emoji_needs_survives(text: str) -> None:
    """A joiner that is lost spells another word; half a family is another picture."""
    assert normalise(text).text == unicodedata.normalize("NFKC", text)
    assert not normalise(text).finds


UNNEEDED = {
    "zero width space": ("ig\u200bnore", "ignore"),
    "joiners between Latin letters": ("i\u200dg\u200cnore", "ignore"),
    "a joiner after a digit of a joining script": ("۱\u200d۲", "۱۲"),
    "a joiner after a picture and before a letter": ("👨\u200dx", "👨x"),
    "a second joiner": ("ا\u200d\u200dب", "ا\u200dب"),
    "soft hyphen and byte order mark": ("\ufeffig\xadnore", "ignore"),
    "control characters": ("ig\x00no\x1b\x7fre", "ignore"),
    "control characters beside others": ("ig\x00no\x9fré", "ignoré"),
    "a selector after a letter": ("i\ufe0fgnore", "ignore"),
    "a selector after a digit without a keycap": ("1\ufe0f2", "12"),
    "a selector after what NFKC makes a letter": ("\U0001f130\ufe0f\u200d👨", "A👨"),
    "an ideograph's selector": ("葛\U000e0100", "葛"),
    "tags after another flag's": (
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f\U000e0061",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ),
    "tags of an unknown region": ("🏴\U000e0078\U000e0079\U000e007f", "🏴"),
    "a flag's tags without its flag": ("x\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "x"),
    "a Mongolian selector after Latin": ("a\u180bb", "ab"),
    "Hangul fillers": ("a\u3164\uffa0\u115fb", "ab"),
    "implicit bidi marks": ("שלום\u200f, \u061cb", "שלום, b"),
    "invisible operators": ("a\u2062b\u2064c", "abc"),
    "a lone surrogate": ("a\ud800b", f"a{REPLACEMENT}b"),
}


@pytest.mark.parametrize(("text", "left"), UNNEEDED.values(), ids=UNNEEDED)
def test_what_nobody_sees_goes(text: str, left: str) -> None:
    """A word that is split by nothing visible is the same word to a reader, and must be to a detector."""
    assert normalise(text).text == left


def test_white_space_stays() -> None:
    """Words that it divides would become one."""
    text = "a\tb\nc\rd\x0be\x0cf"
    assert normalise(text).text == text
    assert normalise(text + "\x85é").text == text + "\x85é"


def test_nfkc_makes_nothing_unseen_of_what_is_seen() -> None:
    """What has nothing unseen in it need not be looked through a second time."""
    assert [char for char in EVERY if char not in UNSEEN and not UNSEEN.isdisjoint(_nfkc(char))] == []


def test_every_format_character_either_shows_or_is_unseen() -> None:
    """Of the general category Cf, only these prepend or lay out what is seen (UAX #44)."""
    seen = {char for char in EVERY if unicodedata.category(char) == "Cf"} - UNSEEN
    assert {ord(char) >> 4 for char in seen} == {0x60, 0x6D, 0x70, 0x89, 0x8E, 0x110B, 0x110C, 0x1343}


def test_no_character_grows_beyond_the_bound() -> None:
    """The bound is promised, and a later Unicode may break it."""
    assert max(len(_nfkc(char)) for char in EVERY) == GROWTH


def test_no_unseen_character_survives_alone() -> None:
    """Each stays for the sake of its neighbours only."""
    assert {visible(char) for char in UNSEEN} == {"", REPLACEMENT}


def _nfkc(char: str) -> str:
    return unicodedata.normalize("NFKC", char)
