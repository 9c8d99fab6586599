"""A text that grows: no part of a value leaves before the value is replaced, however the text is cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.guard.pii.detector import PiiDetector
from consumers.guard.stream_redaction import StreamRedaction
from consumers.placeholders import PlaceholderNames
from tests.unit.consumers.guard.fakes import hostile

VALUES = [
    "john.doe+x@mail.example.co.uk",
    "jürgen@bücher.example",
    "4111 1111 1111 1111",
    "4111111111111111",
    "3782 822463 10005",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "GB33 BUKB 2020 1555 5555 55",
    "de89370400440532013000",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    "123-45-6789",
    "SSN 123456789",
    "93.184.216.34",
    "2a02:8070:1::5",
    "2a02:8070:1:2:3:4:5:6",
    "+49 (0) 30 123456-78",
    "+1-764-819-0925x0208",
    "(555) 234-5678 ext. 1234",
    "030 1234 5678",
    "tel 5551234",
    "5551234567 is my new mobile phone number",
    '5551234567" is my number',
    "001-284-978-3957",
    "01 23 45 67 89 / 06 12 34 56 78",
    "٤١١١ ١١١١ ١١١١ ١١١١",
]

LOOKALIKES = [
    "0171 2345678 EUR",
    "4111 1111 1111 1111-a",
    "1.2.3.4-5b",
    "a@b.example:foo/bar",
    "a@b.example(",
    "8.8.8.0/24",
    "4111 1111 1111 1111 1111 1111",
    "version 8.8.8.8",
    "https://joe@example.com/x",
    "2a02:8070:1:2:3:4:5:6a@b.example(",
    "3782 822463 10005.a@b.example:foo/bar",
    "DE89 3704 0044 0532 0130 00.a@b.example(",
    "415-555-2671::the",
    "2a02:8070:1::5a@b.example:foo/bar",
    "+44 20 7946 0958a@b.example:foo/bar",
]
"""Texts of which only the end shows that they are no value, and texts with a context before them."""

TEXTS = ["Hi,\n({}), ok?", "x {} 12/27 y. Then {}"]


def named(names: PlaceholderNames, detector: PiiDetector, deltas: Iterable[str]) -> str:
    """Return the stream's text with placeholders."""
    stream = StreamRedaction(detector, lambda found, value: names.name(found.kind, value))
    return "".join(stream.feed(delta) for delta in deltas) + stream.finish()


@pytest.mark.parametrize("value", VALUES + LOOKALIKES)
@pytest.mark.parametrize("template", TEXTS)
def test_a_stream_reads_like_the_whole_text_at_every_cut(value: str, template: str) -> None:
    """A fragment that left would be read, and a fragment that was held too long would be found alone."""
    text = template.replace("{}", value)
    detector = PiiDetector()
    whole = named(PlaceholderNames({}), detector, [text])
    cuts = [[text[:at], text[at:]] for at in range(len(text) + 1)]
    for deltas in [*cuts, list(text)]:
        assert named(PlaceholderNames({}), detector, deltas) == whole
    if value in VALUES:
        assert value not in whole


FRAGMENTS = [
    *VALUES,
    *LOOKALIKES,
    *" \n,:()-/.@+=0Zé",
    "12",
    "call ",
    "version ",
    "ext. 12",
    "is my number",
    "EUR",
    "::",
    "%41",
]


@settings(max_examples=100)
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=2, max_size=8), st.lists(st.integers(1, 40), max_size=6))
def test_a_stream_of_joined_fragments_reads_like_the_whole_text(fragments: list[str], lengths: list[int]) -> None:
    """A match that only more text undoes had hidden another one."""
    text = "".join(fragments)
    detector = PiiDetector()
    cuts = [0, *(min(cut, len(text)) for cut in accumulate(lengths)), len(text)]
    deltas = [text[start:end] for start, end in pairwise(cuts)]
    assert named(PlaceholderNames({}), detector, deltas) == named(PlaceholderNames({}), detector, [text])


@given(hostile)
def test_no_text_breaks_the_detector(text: str) -> None:
    """It runs on every text of every tenant."""
    detector = PiiDetector()
    found = detector.detect(text)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert all(0 <= each.start < each.end <= len(text) for each in found)
    assert 0 <= detector.live_from(text) <= len(text)


@pytest.mark.parametrize("value", VALUES)
def test_a_finding_before_the_live_end_is_final(value: str) -> None:
    """The stream releases what is before it, and reads it no more."""
    detector = PiiDetector()
    text = f"Data: {value}. And then: {value} is all."
    final = set(detector.detect(text))
    for end in range(len(text)):
        live = detector.live_from(text[:end])
        released = [each for each in detector.detect(text[:end]) if each.end <= live]
        assert final.issuperset(released)


def test_little_of_prose_is_held() -> None:
    """A reader waits for a word at most."""
    detector = PiiDetector()
    text = "The committee (founded in 1994) met again, and of 120 members 45 came; the others had said no. " * 3
    held = [end - detector.live_from(text[:end]) for end in range(1, len(text))]
    assert sum(held) / len(held) < 5
    assert max(held) < 32


def test_nothing_is_held_if_no_kind_is_on() -> None:
    """A tenant without this guard's kinds does not wait."""
    assert PiiDetector(frozenset()).live_from("john.doe") == len("john.doe")
