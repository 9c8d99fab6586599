"""The judge's prompt, and what its answers mean."""

from __future__ import annotations

import asyncio
import re

import pytest

from consumers.guard.injection.judge import EXCERPT, INJECTION_QUESTION, ModelJudge, excerpt

pytestmark = pytest.mark.anyio


def _judge(answer: str, prompts: list[str] | None = None) -> ModelJudge:
    async def ask(prompt: str) -> str:
        if prompts is not None:
            prompts.append(prompt)
        return answer

    return ModelJudge(ask, INJECTION_QUESTION, timeout=5)


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ('{"found": true}', True),
        ('{"found": false}', False),
        ('```json\n{"found": true}\n```', True),
        ('{"found": "yes"}', None),
        ('{"found": 1}', None),
        ('{"found": true, "why": "x"}', None),
        ("true", None),
        ("I think it is one.", None),
        ("", None),
    ],
)
async def test_only_the_asked_object_is_an_answer(answer: str, decision: bool | None) -> None:  # noqa: FBT001 - a case
    """A text may persuade the model to chat, which must not change a verdict."""
    assert await _judge(answer)("text") is decision


async def test_the_text_is_quoted_between_marks_that_differ() -> None:
    """An author who knew the mark could end the quotation."""
    prompts: list[str] = []
    judge = _judge('{"found": true}', prompts)

    await judge("first {found} %s")
    await judge("second")

    marks = [re.findall(r"^(=====[0-9a-f]{24}=====)$", prompt, re.MULTILINE) for prompt in prompts]
    assert [len(each) for each in marks] == [2, 2]
    assert marks[0][0] == marks[0][1] != marks[1][0]
    assert f"{marks[0][0]}\nfirst {{found}} %s\n{marks[0][0]}" in prompts[0]


async def test_a_late_answer_is_none() -> None:
    """The request must not wait for a slow model."""

    async def never(_prompt: str) -> str:
        await asyncio.Event().wait()
        return ""

    assert await ModelJudge(never, INJECTION_QUESTION, timeout=0.01)("text") is None


async def test_a_failing_model_gives_no_answer() -> None:
    """The other detectors decide then."""

    async def fails(_prompt: str) -> str:
        raise ConnectionError("no route")

    assert await ModelJudge(fails, INJECTION_QUESTION, timeout=5)("text") is None


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 50), (50_000, 50_100), (99_990, 100_000)])
def test_an_excerpt_has_the_suspicious_place(start: int, end: int) -> None:
    """The judge reads a bounded part of a long text."""
    text = "".join(chr(97 + at % 26) for at in range(100_000))

    part = excerpt(text, start, end)

    assert len(part) == EXCERPT
    assert text[start:end] in part
