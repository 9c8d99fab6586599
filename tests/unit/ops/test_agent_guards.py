"""A tenant's pipeline in a worker's run: tool results, memory, arguments and answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from consumers.agent.agents import Agent
from consumers.agent.memory.port import MemoryScope
from consumers.agent.models.port import ModelResponse, ToolCall, ToolMessage
from consumers.agent.tools.tool import tool
from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guards import GuardResult, GuardSpec, Policy
from consumers.guard.pipeline import Pipeline
from consumers.guard.registry import GuardRegistry
from ops.agent_guards import AgentGuards
from schemas.errors import BlockedError, GuardUnavailableError, resolve_error
from schemas.results import VerdictInfo
from schemas.tenants import Tenant
from tests.unit.consumers.agent.obedient import Effects, ObedientModel, ObedientWorld

pytestmark = pytest.mark.anyio

READ = "DO read_mail {};"
SCOPE = MemoryScope("acme", "acme", "s", "topic")


@dataclass
class Words:
    """Blocks texts with ``poison``, asks for a review of ``odd``, and replaces each ``secret-N``."""

    seen: list[Content] = field(default_factory=list[Content])

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:
        """Judge."""
        self.seen.append(content)
        if "poison" in content.text:
            return GuardResult("block")
        if "odd" in content.text:
            return GuardResult("review")
        text = re.sub(r"secret-\d", "<SECRET>", content.text)
        return GuardResult() if text == content.text else GuardResult("redact", text=text)

    def channels(self) -> list[str]:
        """Return the channels of the contents that were seen."""
        return [each.channel for each in self.seen]


async def never(content: Content, context: StepContext) -> GuardResult:
    """Wait for ever."""
    await asyncio.Event().wait()
    return GuardResult()


def services(guard: Any, policy: Policy | None = None) -> dict[str, Any]:  # noqa: ANN401 - a guard
    """The guards of a worker whose three stages have one guard."""
    specs: Sequence[GuardSpec] = [GuardSpec("words", guard, rewrites=True, policy=policy or Policy())]
    return _seams(Pipeline(input=specs, tool=specs, output=specs))


def _seams(pipeline: Pipeline) -> dict[str, Any]:
    async def of(_: Tenant) -> Pipeline:
        return pipeline

    guards = AgentGuards(of)
    return {"tool_guard": guards.arguments, "input_guard": guards.read, "output_guard": guards.answer}


def world(effects: Effects, guard: Any, policy: Policy | None = None, **settings: Any) -> ObedientWorld:  # noqa: ANN401 - as above
    """A worker with one guard, and an agent with all tools."""
    return ObedientWorld((Agent("desk", tools=effects.tools(), **settings),), services=services(guard, policy))


def results(of: ObedientWorld) -> list[str]:
    """Return the tool results that the model read last."""
    return [each.text for each in of.model.asked[-1].messages if isinstance(each, ToolMessage)]


async def test_a_poisoned_page_costs_one_result_and_not_the_run() -> None:
    """The model reads that the result was blocked, in the platform's words, which taint nothing."""
    effects, words = Effects(mail="poison"), Words()
    desk = world(effects, words)
    result = await desk.run(f"{READ}")

    assert results(desk) == ["Error (blocked): the guard words blocked the result of read_mail"]
    assert result.verdicts == (VerdictInfo(guard="words", action="block", stage="input"),)
    assert [(each.channel, each.tool, each.tainted) for each in words.seen if each.channel == "tool_result"] == [
        ("tool_result", "read_mail", True)
    ]
    assert not words.seen[-1].tainted


async def test_a_review_refuses_until_there_is_a_reviewer() -> None:
    """A doubt about a result, about arguments and about an answer."""
    effects = Effects(mail="odd")
    desk = world(effects, Words())
    await desk.run(READ)
    assert "requires a review" in results(desk)[0]

    with pytest.raises(BlockedError, match="review of the answer"):
        await desk.run("odd", request="r-2")


async def test_a_redacted_result_is_read_and_stored_redacted() -> None:
    """The verdict and the text are in the journal: a resumed run asks no guard again."""
    effects, words = Effects(mail="a secret-1"), Words()
    desk = world(effects, words)
    first = await desk.run(READ)
    seen = len([each for each in words.seen if each.channel == "tool_result"])
    again = await desk.run(READ)

    assert results(desk) == ["a <SECRET>"]
    assert again.verdicts == first.verdicts == (VerdictInfo(guard="words", action="redact", stage="input"),)
    assert (seen, words.channels().count("tool_result")) == (1, 1)


async def test_arguments_are_judged_as_text_and_redacted_field_by_field() -> None:
    """The tool gets the redacted text, and the verdict names the stage."""
    effects = Effects()
    desk = world(effects, Words(), memory=())
    result = await desk.run('DO write {"to": "bob secret-1"};')
    assert effects.made == [("write", "bob <SECRET>")]
    assert VerdictInfo(guard="words", action="redact", stage="tool") in result.verdicts


async def test_blocked_arguments_deny_the_call_and_the_run_goes_on() -> None:
    """The model reads why."""
    effects = Effects()

    class Tools(Words):
        async def __call__(self, content: Content, context: StepContext) -> GuardResult:
            return GuardResult("block") if content.channel == "tool_call" else GuardResult()

    desk = world(effects, Tools())
    result = await desk.run('DO write {"to": "bob"};')
    assert effects.made == []
    assert results(desk) == ["Error (tool_denied): the guard words blocked the arguments of write"]
    assert result.verdicts == (VerdictInfo(guard="words", action="block", stage="tool"),)


class Order(BaseModel):
    """Nested arguments."""

    lines: list[dict[str, str]]
    number: int


@pytest.mark.parametrize(
    ("order", "made"),
    [
        ('{"order": {"lines": [{"note": "secret-1"}, {"secret": "x"}], "number": 5}}', ["<SECRET>", "x"]),
        ('{"order": {"lines": [{"secret-2": "y"}], "number": 5}}', None),
    ],
)
async def test_a_secret_in_a_name_is_refused_because_it_cannot_be_taken_out(order: str, made: list[str] | None) -> None:
    """Nested texts are changed in their place. A name is not, since the tool would not know the field."""
    got: list[str] = []

    @tool(risk="read_only")
    async def place(order: Order) -> str:
        got.extend(value for line in order.lines for value in line.values())
        return "placed"

    class Orders(ObedientModel):
        """Places one order."""

        async def complete(self, request: Any) -> Any:  # noqa: ANN401 - the model port's
            if any(isinstance(each, ToolMessage) for each in request.messages):
                return await super().complete(request)
            return ModelResponse("", (ToolCall("1", "place", order),))

    desk = ObedientWorld((Agent("desk", tools=[place]),), model=Orders(), services=services(Words()))
    await desk.run("go")
    assert (got or None) == made
    if made is None:
        assert "cannot be taken out" in results(desk)[0]


async def test_a_blocked_answer_ends_the_run_and_is_not_remembered() -> None:
    """A retry of the request may not find it in its history either."""
    desk = world(Effects(), Words(), memory=("session",))
    with pytest.raises(BlockedError, match="blocked the answer"):
        await desk.run("poison")
    assert await desk.memory.load(SCOPE) == ()


class Report(BaseModel):
    """A structured answer."""

    text: str
    parts: list[str] = []


async def test_a_structured_answer_is_redacted_in_its_fields() -> None:
    """The JSON stays valid, also if the replaced text has quotes and line breaks."""
    desk = world(Effects(), Words(), output=Report)
    desk.model.writes_json = True
    result = await desk.run('a "secret-1"\nand more')
    assert "secret" not in result.output["text"].replace("<SECRET>", "")
    assert '"<SECRET>"\nand more' in result.output["text"]


async def test_a_remembered_text_is_judged_as_memory_and_replaced_if_it_is_refused() -> None:
    """The rules may have changed since it was stored. The conversation goes on without the text."""
    words = Words()
    desk = ObedientWorld((Agent("desk", memory=("session",)),))
    await desk.run("poison")
    later = ObedientWorld((Agent("desk", memory=("session",)),), memory=desk.memory, services=services(words))
    result = await later.run("hello", request="r-2")

    assert "poison" not in result.output
    assert "[removed: the guard words blocked a text of the memory]" in result.output
    assert words.channels().count("memory") == 2
    assert result.verdicts == (VerdictInfo(guard="words", action="block", stage="input"),) * 2
    assert (await later.run("hello", request="r-2")).verdicts == result.verdicts


async def test_a_late_guard_follows_its_policy() -> None:
    """Closed: a call that may be repeated ends the attempt, and the client may send the request again."""
    late = Policy(timeout=0.01)
    with pytest.raises(ExceptionGroup) as raised:
        await world(Effects(), _for("tool_result", never), late).run(READ)
    assert isinstance(resolve_error(raised.value), GuardUnavailableError)

    open_ = world(Effects(), _for("tool_result", never), Policy(timeout=0.01, failure="open"))
    assert VerdictInfo(guard="words", action="flag", stage="input") in (await open_.run(READ)).verdicts


async def test_an_effect_keeps_its_outcome_if_its_result_cannot_be_judged() -> None:
    """The call must not be made again, so the model reads that it was made and that the result is withheld."""
    effects = Effects()
    desk = world(effects, _for("tool_result", never), Policy(timeout=0.01))
    await desk.run('DO write {"to": "bob"};')
    assert effects.made == [("write", "bob")]
    assert results(desk) == ["Error (guard_unavailable): the guard words could not judge the result of write in time"]


def _for(channel: str, guard: Any) -> Any:  # noqa: ANN401 - guards
    async def judge(content: Content, context: StepContext) -> GuardResult:
        found: GuardResult = await guard(content, context) if content.channel == channel else GuardResult()
        return found

    return judge


async def test_secrets_leave_neither_by_arguments_nor_by_results_nor_by_answers() -> None:
    """The default guards on the whole way, with a token that is made up here."""
    token = "ghp_" + "".join(chr(97 + number * 7 % 26) + str(number % 10) for number in range(18))
    effects = Effects(mail=f"token {token}")
    desk = ObedientWorld((Agent("desk", tools=effects.tools()),), services=_seams(GuardRegistry().pipeline()))
    result = await desk.run(f'{READ} DO write {{"to": "{token}"}};')

    assert token not in str(effects.made)
    assert token not in str(results(desk))
    assert token not in result.output
    assert {each.stage for each in result.verdicts} == {"input", "tool", "output"}
