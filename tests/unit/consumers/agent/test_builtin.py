"""The agents that scripts rely on."""

from __future__ import annotations

import pytest

from consumers.agent.builtin import INSTRUCTIONS, assistant, echo
from schemas.errors import BY_CODE, MalformedError, ModelTimeoutError
from tests.unit.consumers.agent.fakes import ToldModel, run_of

pytestmark = pytest.mark.anyio


async def test_echo_answers_its_input() -> None:
    """Without a model."""
    model = ToldModel()

    assert await echo.answer("hello", run_of(model=model)) == "hello"
    assert model.asked == []


async def test_echo_sleeps_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds, with a fraction."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("consumers.agent.builtin.asyncio.sleep", sleep)

    await echo.answer("hello", run_of(metadata={"sleep": "1.5"}))

    assert slept == [1.5]


@pytest.mark.parametrize("code", sorted(BY_CODE))
async def test_echo_fails_with_every_code_there_is(code: str) -> None:
    """Its class decides what comes of it, as if it were real."""
    with pytest.raises(BY_CODE[code]) as raised:
        await echo.answer("hello", run_of(metadata={"fail": code}))
    assert raised.value.code == code


async def test_echo_fails_only_as_often_as_it_is_told() -> None:
    """So that a retry can be seen to succeed."""
    metadata = {"fail": "model_timeout", "fail_times": "2"}

    for attempt in (1, 2):
        with pytest.raises(ModelTimeoutError):
            await echo.answer("hello", run_of(metadata=metadata, attempt=attempt))
    assert await echo.answer("hello", run_of(metadata=metadata, attempt=3)) == "hello"


@pytest.mark.parametrize(
    "metadata",
    [
        {"fail": "no_such_code"},
        {"fail": "internal", "fail_times": "-1"},
        {"fail": "internal", "fail_times": "²"},
        {"fail": "internal", "fail_times": "9" * 4_400},
        {"sleep": "long"},
        {"sleep": "-1"},
        {"sleep": "inf"},
        {"sleep": "nan"},
    ],
)
async def test_metadata_that_echo_cannot_read_are_malformed(metadata: dict[str, str]) -> None:
    """A test that misspells its failure must not pass for a success."""
    with pytest.raises(MalformedError, match=r"metadata\."):
        await echo.answer("hello", run_of(metadata=metadata))


async def test_the_assistant_is_one_call_of_the_model() -> None:
    """No tools: the local model calls none."""
    model = ToldModel(["hi"])

    assert await assistant.answer("hello", run_of(model=model, instructions=assistant.instructions)) == "hi"
    assert [message.text for message in model.asked[0].messages] == [INSTRUCTIONS, "hello"]
    assert model.asked[0].tools == ()
