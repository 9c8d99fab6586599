"""A stream of untrusted sources leads to no host that is not listed, however its deltas are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.guard.content import Content
from consumers.guard.link_places import find_links
from consumers.guard.links import LINKS, LinksConfig
from consumers.guard.stream import HELD_LIMIT, StreamGuard
from schemas.errors import BlockedError
from tests.unit.consumers.guard.test_links import LISTED, OUTWARD

HOSTS = ("docs.example.com", "*.trusted.example")


def stream_of(*, tainted: bool = True, action: str = "redact") -> StreamGuard:
    """Return the guard of one answer."""
    config = LinksConfig.model_validate({"hosts": HOSTS, "action": action})
    assert LINKS.stream is not None
    return StreamGuard(LINKS.stream(config, Content("", channel="answer", tainted=tainted), ""))


def streamed(text: str, *cuts: int) -> str:
    """Return all that leaves if the text is cut there."""
    stream = stream_of()
    bounds = sorted({0, *(cut for cut in cuts if 0 < cut < len(text)), len(text)})
    return "".join([stream.feed(text[start:end]) for start, end in pairwise(bounds)] + [stream.finish()])


def whole(text: str) -> str:
    """Return the answer without its links."""
    return find_links(text, "", LISTED).text or text


FRAMES = ["{}", "So: {} and on.", "x={},y", "日本{} 語"]


@pytest.mark.parametrize("text", [*OUTWARD, "https://docs.example.com/a(b) is listed, and a/b or 3:4 is no link"])
def test_every_cut_gives_the_answer_without_its_links(text: str) -> None:
    """A link is held back from its first letter to its end."""
    for frame in FRAMES:
        framed = frame.replace("{}", text)
        expected = whole(framed)
        found = {streamed(framed, cut) for cut in range(len(framed))} | {streamed(framed, *range(len(framed)))}
        assert {each.lstrip("日本") for each in found} == {expected.lstrip("日本")}  # letters of no link may have left


_PIECES = st.sampled_from(
    [*OUTWARD, "https", ":", "//", "\\", "&#58;", "www.", "data:", '="', "' ", '"', ">", "(", ")", "é", " ", "\n"]
)


@given(st.lists(_PIECES | st.text(max_size=4), max_size=8).map("".join), st.lists(st.integers(0, 300), max_size=8))
def test_no_split_lets_a_link_leave(text: str, cuts: list[int]) -> None:
    """Links that are written into each other may be cut in another place, but none is left."""
    left = streamed(text, *cuts)
    if find_links(whole(text), "", LISTED).text is None:
        assert find_links(left, "", LISTED).text is None


def test_a_trusted_answer_does_not_wait() -> None:
    """Its links are its author's."""
    assert stream_of(tainted=False).feed("see https://any.exam") == "see https://any.exam"
    with pytest.raises(BlockedError, match="the guard links blocked the answer"):
        stream_of(action="block").feed("see https://evil.example/ now")


@pytest.mark.parametrize("unit", ["日本語の文章。", "和/或", "a:b ", "“text” ", "x='a' "])
def test_prose_is_not_held_until_it_is_blocked(unit: str) -> None:
    """Some languages write no spaces."""
    stream = stream_of()
    text = unit * (HELD_LIMIT // len(unit))
    released = "".join(stream.feed(text[at : at + 50]) for at in range(0, len(text), 50))
    assert len(released) > len(text) - 400
