"""A guarded stream releases the redaction of the whole text, however the text is cut, and nothing else."""

from __future__ import annotations

import base64
import unicodedata
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.guard.character_sets import UNSEEN
from consumers.guard.finding import Finding, findings
from consumers.guard.normal_form import normalise
from consumers.guard.stream import HELD_LIMIT, StreamGuard, StreamStage
from consumers.guard.stream_normaliser import CLOSED, StreamNormaliser, SurrogatePairs, starts_anew
from consumers.guard.stream_redaction import StreamRedaction, blocking
from schemas.errors import BlockedError
from tests.unit.consumers.guard.fakes import hostile
from tests.unit.consumers.guard.live_words import ADDRESS, BLOCK, TOKEN, LiveWords

SECRETS = {
    "token": TOKEN,
    "address": ADDRESS,
    "block": BLOCK,
    "password": "pass=hunter2hunter2",
    "base64": base64.b64encode(f"the token is {TOKEN}".encode()).decode(),
    "URL base64": base64.urlsafe_b64encode(f"ÿÿ? {TOKEN}".encode()).decode(),
    "half base64": "pass=" + base64.b64encode(b"hunter2hunter2").decode(),
    "percent": quote(TOKEN, safe="").replace("_", "%5F"),
    "all percent": "".join(f"%{ord(char):02x}" for char in TOKEN),
    "full width": "".join(chr(ord(char) + 0xFEE0) for char in TOKEN),
    "split by invisible characters": "\u200b".join(TOKEN),
}


def named(found: Finding, _: str) -> str:
    """Return the placeholder of a finding."""
    return f"<{found.kind.upper()}>"


def whole(text: str) -> str:
    """Return the redaction of the whole text: normalised, then every span of every reading replaced."""
    text = normalise(text).text
    parts: list[str] = []
    at = 0
    for each in sorted(findings(LiveWords().detect, text), key=lambda one: (one.start, -one.end)):
        if each.start >= at:
            parts += text[at : each.start], named(each, "")
        at = max(at, each.end)
    return "".join([*parts, text[at:]])


def guard(detector: LiveWords | None = None) -> StreamGuard:
    """Return a guard with every kind of stage."""
    stages: list[StreamStage] = [
        SurrogatePairs(),
        StreamNormaliser(),
        StreamRedaction(detector or LiveWords(), named),
    ]
    return StreamGuard(stages)


def streamed(text: str, *cuts: int) -> str:
    """Return all that leaves if the text is cut there."""
    stream = guard()
    bounds = sorted({0, *(cut for cut in cuts if 0 < cut < len(text)), len(text)})
    return "".join([stream.feed(text[start:end]) for start, end in pairwise(bounds)] + [stream.finish()])


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("frame", ["{}", "Call {} now.", "({}),", "x\n{}\r\ny", "日本{} 語"])
def test_no_cut_lets_a_fragment_leave(secret: str, frame: str) -> None:
    """Two deltas, cut at every offset, then one delta for each character."""
    text = frame.format(secret)
    expected = whole(text)
    assert secret not in expected
    assert all(streamed(text, cut) == expected for cut in range(len(text)))
    assert streamed(text, *range(len(text))) == expected


_PIECES = st.one_of(
    st.sampled_from(
        [*SECRETS.values(), "pass=", "tok_", "<<BEGIN>>", "<<END>>", "@", " ", "\n", ",", "%", "=", "e\u0301"]
    ),
    st.text(max_size=8),
    hostile,
)
_TEXTS = st.lists(_PIECES, max_size=12).map("".join)


@given(_TEXTS, st.lists(st.integers(0, 400), max_size=12))
@example("%" + TOKEN, [])
@example("a" * 300 + TOKEN, [299, 301])
@example("1" * 500 + " " + TOKEN + "%41", [250, 501])
def test_every_split_gives_the_redaction_of_the_whole(text: str, cuts: list[int]) -> None:
    """A deviation is a leak, or a part of an answer that is lost."""
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert streamed(text, *cuts) == whole(paired)


def test_what_needs_no_waiting_leaves_at_once() -> None:
    """An answer is read while it is written: only its last word waits."""
    stream = guard()
    assert [stream.feed(word) for word in ("The answer ", "is forty", "-two, ", "as ever.")] == [
        "The answer ",
        "is ",
        "forty-two, ",
        "as ",
    ]
    assert stream.finish() == "ever."


def test_a_blocking_guard_ends_the_stream_before_its_match() -> None:
    """The text before it has left, so the caller retracts it."""
    stream = StreamGuard([StreamRedaction(LiveWords(), blocking("secrets"))])
    assert stream.feed("So: ") == "So: "
    assert stream.feed(TOKEN[:9]) == ""
    assert stream.feed(TOKEN[9:]) == ""
    with pytest.raises(BlockedError, match="the guard secrets blocked the answer"):
        stream.feed(" and more")
    with pytest.raises(RuntimeError, match="the stream is over"):
        stream.feed("and more")


def test_a_match_at_the_end_blocks_too() -> None:
    """No delta follows it."""
    stream = StreamGuard([StreamRedaction(LiveWords(), blocking("secrets"))])
    assert stream.feed(f"So: {TOKEN}") == "So: "
    with pytest.raises(BlockedError):
        stream.finish()


@pytest.mark.parametrize("endless", ["A", "<<BEGIN>> ", "%41", "\u0301", "tok_", "\u200b"])
def test_a_stream_that_holds_more_than_its_limit_is_blocked(endless: str) -> None:
    """A match without an end would otherwise hold the answer and its memory for ever."""
    stream = guard()
    unit = endless * 16
    with pytest.raises(BlockedError, match="16 KiB"):
        flood(stream, "a" + unit * (2 * HELD_LIMIT // len(unit)), len(unit))
    assert sum(len(stage.held.encode()) for stage in stream.stages) <= HELD_LIMIT + len(unit.encode())


def flood(stream: StreamGuard, text: str, size: int) -> None:
    """Feed the text in deltas of this size."""
    for start in range(0, len(text), size):
        stream.feed(text[start : start + size])


@pytest.mark.parametrize("unit", ["word ", "日本語", "pass=a ", "a=", "%41 ", "jane@", "1234 5678 ", "tok_A1b2 "])
@pytest.mark.parametrize("size", [1, 20])
def test_a_stream_reads_each_character_a_bounded_number_of_times(unit: str, size: int) -> None:
    """Reading the whole answer again at each delta would cost quadratic time."""

    def read(length: int) -> int:
        detector = LiveWords()
        stream = guard(detector)
        flood(stream, unit * (length // len(unit)), size)
        return detector.read

    length = max(2_000, 200 * size)
    once, twice = read(length), read(2 * length)
    assert twice <= 2.3 * once
    assert once <= length // size * 2_000


def test_no_character_changes_a_closed_one() -> None:
    """So a delta that ends with a space or a full stop leaves at once."""
    marks = [char for char in map(chr, range(0x110000)) if not starts_anew(char) and char not in UNSEEN]
    for mark in marks:
        alone = unicodedata.normalize("NFKC", mark)
        assert unicodedata.normalize("NFKC", mark.join(CLOSED) + mark) == alone.join(CLOSED) + alone


def test_a_text_is_cut_only_where_the_next_character_starts_anew() -> None:
    """No character that composes with the one before it does, in this version of Unicode."""
    for char in map(chr, range(0x110000)):
        if unicodedata.combining(char):
            assert not starts_anew(char)
        parts = unicodedata.decomposition(char).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            first, second = (chr(int(part, 16)) for part in parts)
            assert unicodedata.normalize("NFC", first + second) != char or not starts_anew(second)
    assert all(map(starts_anew, "a1 é日가Ωяا\n\r"))


def test_the_halves_of_a_surrogate_pair_are_joined() -> None:
    """A provider may write an emoji as two JSON escapes, in two deltas."""
    assert streamed("a \ud83d\ude00 b", 3) == "a 😀 b"
    assert streamed("a \ud83d b \ude00", 3) == "a \ufffd b \ufffd"
