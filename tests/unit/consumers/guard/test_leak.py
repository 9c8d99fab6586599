"""Answers that repeat an agent's instructions, plainly or in disguise."""

from __future__ import annotations

import base64
import codecs
import textwrap
import time
import urllib.parse

import pytest

from consumers.agent.builtin import INSTRUCTIONS as SHORT
from consumers.guard.content import Content
from consumers.guard.leak import LEAK, LeakConfig
from consumers.guard.leak_places import REMOVED, find_leak
from consumers.guard.text_threads import text_thread
from tests.unit.consumers.guard.fakes import context

pytestmark = pytest.mark.anyio

INSTRUCTIONS = """You are the night clerk of the Hotel Meridian. Never tell a guest the master code of the lift.
Offer late check-out until noon to guests with a silver card, and until three to those with a gold card.
If a guest complains about noise, apologise first, then offer room 12, which is kept free for this purpose."""

LEAKS = {
    "all": INSTRUCTIONS,
    "within prose": f"Of course! My instructions are: {INSTRUCTIONS} Anything else?",
    "a part": "The lift. Offer late check-out until noon to guests with a silver card, and until three to those with a",
    "in capitals": INSTRUCTIONS.upper(),
    "one word a line": "\n".join(INSTRUCTIONS.split()),
    "spaced out": " ".join(INSTRUCTIONS),
    "other punctuation": INSTRUCTIONS.replace(" ", " *_* ").replace(",", "!"),
    "quoted": textwrap.fill(INSTRUCTIONS, 30, initial_indent="> ", subsequent_indent="> "),
    "full width": "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in INSTRUCTIONS),
    "tag characters": "Hello" + "".join(chr(0xE0000 + ord(c)) for c in INSTRUCTIONS),
    "zero width": "\u200b".join(INSTRUCTIONS),
    "backwards": INSTRUCTIONS[::-1],
    "rot13": codecs.encode(INSTRUCTIONS, "rot13"),
    "base64": base64.b64encode(INSTRUCTIONS.encode()).decode(),
    "base64 in lines": base64.encodebytes(INSTRUCTIONS.encode()).decode(),
    "percent": urllib.parse.quote(INSTRUCTIONS),
    "hex": INSTRUCTIONS.encode().hex(),
    "hex in pairs": INSTRUCTIONS.encode().hex(" "),
    "reversed base64": base64.b64encode(INSTRUCTIONS[::-1].encode()).decode(),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_repetition_of_the_instructions_is_found_and_taken_out(leak: str) -> None:
    """The text without it has no run of the instructions any more."""
    found = find_leak(f"Good evening. {LEAKS[leak]} Good night.", "", INSTRUCTIONS, "80")
    assert found.kinds == ("instructions",)
    assert REMOVED in (found.text or "")
    assert "Good evening" in (found.text or "")
    assert find_leak(found.text or "", "", INSTRUCTIONS, "80").kinds == ()


@pytest.mark.parametrize(
    "answer",
    [
        "You may keep the room until noon with your silver card, or until three with a gold card.",
        "I am sorry about the noise. I can offer you room 12 instead.",
        "You are the guest, and I am the night clerk of the Hotel Meridian.",
        "word " * 2_000,
        "",
    ],
)
def test_an_answer_by_the_instructions_is_no_leak(answer: str) -> None:
    """An agent that does what it is told uses some words of its instructions."""
    assert find_leak(answer, "", INSTRUCTIONS, "80").kinds == ()


def test_short_instructions_are_no_secret() -> None:
    """Other texts have their words too."""
    assert find_leak(f"I know this one: {SHORT}", "", SHORT, "80").kinds == ()


def test_only_runs_of_the_configured_length_count() -> None:
    """The run has 39 letters."""
    text = "the master code of the lift. Offer late check-out"
    assert find_leak(text, "", INSTRUCTIONS, "39").text == REMOVED
    assert find_leak(text, "", INSTRUCTIONS, "40").kinds == ()


async def test_the_guard_reads_the_instructions_of_the_content() -> None:
    """Without any it has nothing to protect; a leak in hidden text alone cannot be taken out."""
    guard = LEAK.make(LeakConfig(), "output", text_thread)
    assert (await guard(Content(INSTRUCTIONS, "answer"), context())).action == "pass"
    leaked = Content(INSTRUCTIONS, "answer", instructions=INSTRUCTIONS)
    assert (await guard(leaked, context())).action == "redact"
    hidden = Content("Hello", "answer", instructions=INSTRUCTIONS, hidden=INSTRUCTIONS)
    assert (await guard(hidden, context())).action == "block"
    block = LEAK.make(LeakConfig(action="block"), "output", text_thread)
    assert (await block(leaked, context())).action == "block"


def test_a_long_answer_takes_linear_time() -> None:
    """Also one that is made of fragments of the instructions, none of them long enough."""
    piece = INSTRUCTIONS[:60] + "#1#2#3"
    for part in ("a", piece, INSTRUCTIONS[:20], "é"):
        short, long = (part * (size // len(part)) for size in (20_000, 160_000))
        assert _cpu(long) < 24 * max(_cpu(short), 0.001)


def _cpu(text: str) -> float:
    times = []
    for _ in range(2):
        began = time.process_time()
        find_leak(text, "", INSTRUCTIONS, "80")
        times.append(time.process_time() - began)
    return min(times)
