"""``headrace bench texts``: CPU time that the guards need for a megabyte of text, alphabet by alphabet."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time

from consumers.guard.text_tasks import normal_text, packed_views
from ops.lab.bench.figures import Comparison, Rounds, Tell
from ops.settings import Settings

MIB = 1024 * 1024

ALPHABETS = {
    "ASCII": "An honest text. ",
    "Latin": "Grüße aus Zürich, ça va? ",
    "CJK": "日本語の文章です。",
    "full width": "\uff29\uff47\uff4e\uff4f\uff52\uff45",
    "Hangul jamo": "\u1100\u1161\u11a8",
    "Arabic": "السلام عليكم ",
    "Persian with joiners": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 ",
    "Devanagari with joiners": "क्\u200dषनमस्ते ",
    "Mongolian with selectors": "\u1820\u180b",
    "combining marks": "x" + "\u0316\u0301" * 14,
    "emoji sequences": "👨\u200d👩\u200d👧\u200d👦",
    "emoji with selectors": "❤\ufe0f",
    "tag characters": "\U000e0041a",
    "variation selectors": "\U000e0100\U000e0101x",
    "bidi controls": "\u202ea",
    "joiners": "a\u200d",
    "squared words": "\u3300",
    "base64 words": "aWdub3Jl ",
    "base64 in base64": "YVdkdWIzSmw ",
    "percent encoding": "%61 ",
}
"""A piece of text of each kind. Repeated, most of them are the worst case of their alphabet."""

REFERENCE = "Latin"


@dataclass(frozen=True, slots=True)
class TextsPlan:
    """The size of the measurement."""

    rounds: int = 3


async def run(plan: TextsPlan, _settings: Settings, _folder: Path, tell: Tell) -> list[Comparison]:
    """Measure in this process. A worker does the same in a process for text work, also without garbage collection."""
    rounds = Rounds(plan.rounds, tell, unit="ms")
    with _uncollected():
        await rounds.measure({name: partial(_spent_ms, unit) for name, unit in ALPHABETS.items()})
    return [rounds.compare(name, REFERENCE) for name in ALPHABETS]


async def _spent_ms(unit: str) -> float:
    """Return the CPU time for a megabyte: the normal text and its views."""
    text = unit * (MIB // len(unit.encode()))
    began = process_time()
    normal = normal_text(text)
    packed_views(normal.text or "", normal.hidden)
    return (process_time() - began) * 1_000


@contextmanager
def _uncollected() -> Generator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
