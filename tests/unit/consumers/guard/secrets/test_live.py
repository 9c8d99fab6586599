"""The end of a growing text: what may still become a secret is held, and only that."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.guard.content import Content
from consumers.guard.finding import findings
from consumers.guard.secrets.guard import SecretsConfig, secrets_stream
from consumers.guard.secrets.task import detector_of, without
from consumers.guard.stream import StreamGuard
from schemas.errors import BlockedError
from tests.contract.planted import ROOT
from tests.unit.consumers.guard.secrets.corpus import encodings
from tests.unit.consumers.guard.secrets.generated import PLACES, planted

DETECTOR = detector_of()
FRAGMENT = 4
"""Characters of a secret that must not leave together."""


def _stream(context: str = "", action: str = "redact") -> StreamGuard:
    return StreamGuard(secrets_stream(SecretsConfig.model_validate({"action": action}), Content(""), context))


def _fragments(secret: str, elsewhere: str) -> set[str]:
    """The parts of a secret that its surroundings do not have."""
    parts = {secret[at : at + FRAGMENT] for at in range(len(secret) - FRAGMENT + 1)}
    return {part for part in parts if part not in elsewhere}


def _cuts(text: str) -> range:
    return range(0, len(text) + 1, 1 if len(text) < 120 else 13)


@pytest.mark.parametrize("place", ["prose", "JSON"])
def test_no_fragment_of_a_secret_leaves_at_any_cut(place: str) -> None:
    """A stream may be cut at every character, and each part of it is sent at once."""
    for each in planted(random.Random(11)):
        text = PLACES[place].format(each.text)
        fragments = _fragments(each.secret, PLACES[place] + each.before + each.after + f"[secret removed: {each.kind}]")
        for cut in _cuts(text):
            left = _stream().feed(text[:cut])
            assert not {part for part in fragments if part in left}, (each.kind, cut)


def test_no_fragment_of_an_encoded_secret_leaves_at_any_cut() -> None:
    """The reading of base64 begins with its first character, which may be written long before the last."""
    for each in planted(random.Random(12)):
        for encoded in encodings(each.text):
            for cut in range(4, len(encoded), 17):
                left = _stream().feed(f"see {encoded[:cut]}")
                open_part = left.removeprefix("see ").replace(f"[secret removed: {each.kind}]", "")
                assert len(open_part) < FRAGMENT + len(each.before) * 3, (each.kind, cut, left)


def test_a_stream_leaves_as_the_whole_text_would() -> None:
    """Held parts that are judged one after another give the same text as all of it at once."""
    for each in planted(random.Random(13)):
        text = PLACES["prose"].format(each.text)
        stream = _stream()
        sent = "".join(stream.feed(text[at : at + 5]) for at in range(0, len(text), 5)) + stream.finish()
        assert sent == without(text, findings(DETECTOR.detect, text)), each.kind


def test_a_blocking_guard_ends_the_stream() -> None:
    """The client is told to retract what it has shown."""
    stream = _stream(action="block")
    with pytest.raises(BlockedError):
        stream.feed("token = " + "gh" + "p_" + "a1B2c3D4e5F6" * 3 + " is it.")


def test_the_name_of_an_argument_is_context() -> None:
    """A password is an argument of its own in a tool's call, and its name was written before it."""
    stream = _stream(context='"password": "')
    assert stream.feed("hunter2!x9 ") + stream.finish() == "[secret removed: assigned_secret] "


ODD = st.lists(
    st.sampled_from(
        ["pass", "word", "=", ": ", '"', "gh", "p_", "a1B2c3D4e5F6", "A" * 3, "é", "密", " ", "\n", ".", "-"]
    ),
    max_size=14,
).map("".join)


@settings(max_examples=150)
@given(ODD, st.integers(0, 80))
def test_a_finding_before_the_live_end_is_final(text: str, cut: int) -> None:
    """Later characters neither add a secret to the part that is sent, nor change one in it."""
    part = text[:cut]
    found = DETECTOR.detect(part)
    live = DETECTOR.live_from(part)
    end = min((each.start for each in found if each.start < live < each.end), default=live)
    assert [one for one in found if one.end <= end] == [one for one in DETECTOR.detect(text) if one.start < end]


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_the_live_end_is_an_offset_of_the_text(text: str) -> None:
    """No text of any script makes it raise."""
    assert 0 <= DETECTOR.live_from(text) <= len(text)


def test_little_of_a_benign_text_is_held() -> None:
    """Held text is late text: a few characters on average, and never more than a sentence."""
    for path in ("docs/why/architecture.md", "README.md", "consumers/guard/views.py"):
        text = (ROOT / path).read_text(encoding="utf-8")[:6_000]
        held = [500 - DETECTOR.live_from(text[cut - 500 : cut]) for cut in range(500, len(text), 11)]
        assert sum(held) / len(held) < 4, path
        assert max(held) < 120, path
