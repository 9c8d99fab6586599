"""`headrace guard check` judges one text a line, in order, and reports lines that are none."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guards import GuardResult
from consumers.guard.pipeline import Pipeline
from consumers.guard.stream import StreamGuard
from consumers.guard.stream_redaction import StreamRedaction, blocking
from ops.guard_check import GuardCheck, chunks_of_lines
from ops.guard_streams import StreamCheck
from schemas.errors import TooLargeError
from tests.unit.consumers.guard.fakes import Told, context, spec
from tests.unit.consumers.guard.live_words import ADDRESS, TOKEN, LiveWords

pytestmark = pytest.mark.anyio


async def shouts(content: Content, _: StepContext) -> GuardResult:
    """Flag by length, later for shorter texts; the note names the channel."""
    await asyncio.sleep(0.01 / (1 + len(content.text)))
    if content.text == "huge":
        raise TooLargeError
    return GuardResult("flag" if len(content.text) > 3 else "pass", score=0.25, note=content.channel)


def lines(*values: object) -> list[tuple[int, bytes]]:
    """Numbered lines of JSON; bytes stay as they are."""
    return [
        (number, value if isinstance(value, bytes) else json.dumps(value).encode())
        for number, value in enumerate(values, 1)
    ]


def check(pipeline: Pipeline | None = None) -> GuardCheck:
    """A check with one guard."""
    return GuardCheck(pipeline or Pipeline(input=[spec("loud", shouts)]), "input", context())


async def test_each_line_has_one_result_in_order() -> None:
    """Whatever text takes longest."""
    found = await check().judged(lines({"id": "a", "text": "x"}, {"input": "xxxx"}, {"id": 7, "text": "xxxxxxxx"}))

    assert [each.output for each in found] == [
        {"id": "a", "action": "pass", "score": 0.25, "guards": [_loud("pass")]},
        {"id": 2, "action": "flag", "score": 0.25, "guards": [_loud("flag")]},
        {"id": 7, "action": "flag", "score": 0.25, "guards": [_loud("flag")]},
    ]


def _loud(action: str, channel: str = "request") -> dict[str, object]:
    return {"guard": "loud", "action": action, "score": 0.25, "note": channel}


async def test_a_line_may_name_its_channel() -> None:
    """Thresholds differ by channel."""
    (found,) = await check().judged(lines({"text": "xxxx", "channel": "tool_result", "label": 1}))
    assert found.output is not None
    assert found.output["guards"] == [_loud("flag", "tool_result")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"nothing", "Invalid JSON"),
        (b'{"id": 1}', "text: Field required"),
        (b'{"text": 7}', "text: Input should be a valid string"),
        (b'{"text": "x", "channel": "mail"}', "channel: Input should be"),
        (b"[1]", "Input should be an object"),
        (b'{"text": "\xff"}', "Invalid JSON"),
    ],
)
async def test_a_bad_line_is_reported_and_the_others_are_judged(line: bytes, fault: str) -> None:
    """The content of the line is not repeated."""
    bad, good = await check().judged(lines(line, {"text": "x"}))
    assert (bad.number, bad.output) == (1, None)
    assert bad.fault.startswith(fault)
    assert good.output is not None


async def test_the_score_is_that_of_the_action() -> None:
    """A certain e-mail address is no sign of an attack."""
    guards = Pipeline(
        input=[spec("pii", Told(GuardResult("flag", 1.0))), spec("injection", Told(GuardResult("block", 0.75)))]
    )
    (found,) = await check(guards).judged(lines({"text": "x"}))
    assert found.output is not None
    assert (found.output["action"], found.output["score"]) == ("block", 0.75)


async def test_a_text_that_no_guard_takes_is_blocked() -> None:
    """As its request would be refused."""
    (found,) = await check().judged(lines({"id": 1, "text": "huge"}))
    assert found.output == {"id": 1, "action": "block", "score": 1.0, "guards": [], "error": "too_large"}


class Trickle(io.BytesIO):
    """A pipe that gives three bytes at a time."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(3)


def test_lines_are_numbered_as_an_editor_numbers_them() -> None:
    """Blank lines count, and are not judged. The last line needs no end."""
    text = b'{"a"}\n\n  \nb\r\nc'
    assert [each for chunk in chunks_of_lines(Trickle(text)) for each in chunk] == [
        (1, b'{"a"}'),
        (4, b"b\r"),
        (5, b"c"),
    ]
    assert [each for chunk in chunks_of_lines(io.BytesIO(text)) for each in chunk] == [
        (1, b'{"a"}'),
        (4, b"b\r"),
        (5, b"c"),
    ]


async def test_a_text_is_judged_as_a_stream_too() -> None:
    """The text that leaves is printed, with the most that was held back."""
    check = StreamCheck(lambda _: StreamGuard([StreamRedaction(LiveWords(), lambda found, _: f"<{found.kind}>")]), 3)
    assert check(Content(f"to {ADDRESS} now")) == {"action": "redact", "text": "to <address> now", "held": 18}
    assert check(Content("a word"))["action"] == "pass"
    (line,) = await GuardCheck(Pipeline(), "output", context(), stream=check).judged([(1, b'{"text": "a word"}')])
    assert line.output == {**(line.output or {}), "stream": {"action": "pass", "text": "a word", "held": 4}}


def test_a_blocked_stream_names_its_reason() -> None:
    """The text before the match has left."""
    check = StreamCheck(lambda _: StreamGuard([StreamRedaction(LiveWords(), blocking("words"))]), 3)
    found = check(Content(f"to {TOKEN} now"))
    assert (found["action"], found["text"], found["reason"]) == ("block", "to ", "words: token")
