"""Placeholders in one run and one session: who sees which data, and that no number is given twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel

from consumers.agent.agents import Agent
from consumers.agent.memory.port import MemoryScope
from consumers.agent.middleware import Next, Operation
from consumers.agent.models.port import ModelRequest, ModelResponse, ToolMessage
from consumers.agent.provenance import Source
from consumers.agent.seams import GuardedArguments, GuardedText, StepScope
from consumers.agent.tools.tool import Tool, tool
from consumers.guard.finding import Finding
from consumers.placeholders import escaped, numbered
from schemas.errors import RunSupersededError
from schemas.requests import Request
from schemas.results import Result
from tests.unit.consumers.agent.fakes import TENANT, context_of, screened_of
from tests.unit.consumers.agent.obedient import ObedientModel, ObedientWorld

pytestmark = pytest.mark.anyio

SCOPE = MemoryScope("acme", "acme", "s", "topic")
ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"
MEMORY: tuple[Any, ...] = ("session",)
_EMAIL = re.compile(r"[a-z]+@example\.com")


def placed(text: str, known: Mapping[str, str], own: Mapping[str, str] | None = None) -> GuardedText:
    """Return the text with placeholders, as the guard for personal data does."""
    text = escaped(text, own or {})
    found = [Finding("email", *match.span()) for match in _EMAIL.finditer(text)]
    result = numbered(text, found, known)
    return GuardedText(result.text, result.placeholders)


async def read(text: str, source: Source, scope: StepScope) -> GuardedText:
    """Guard tool results and memories. Other guards run between its beginning and its end."""
    guarded = placed(text, dict(scope.placeholders), scope.placeholders if source.kind == "memory" else None)
    await asyncio.sleep(0)
    new = {name: value for name, value in guarded.placeholders.items() if name not in scope.placeholders}
    return guarded._replace(placeholders=new)


async def leave(text: str, source: Source, scope: StepScope) -> GuardedText:
    """Guard answers."""
    return placed(text, scope.placeholders, scope.placeholders)


def _customer(value: str) -> str:
    """Return the address of a customer."""
    if not _EMAIL.fullmatch(value) or value == BOB:
        message = f"{value} is no customer"
        raise ValueError(message)
    return value


Customer = Annotated[str, AfterValidator(_customer)]


@dataclass
class Desk:
    """A worker with the guard, and what its tools, policy and middleware saw."""

    directory: dict[str, str] = field(default_factory=dict[str, str])
    sent: list[str] = field(default_factory=list[str])
    shown: list[str] = field(default_factory=list[str])
    model: ObedientModel = field(default_factory=ObedientModel)
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    world: ObedientWorld = field(init=False)

    def __post_init__(self) -> None:
        """Open the worker."""
        agent = Agent("desk", tools=self.tools(), memory=MEMORY, **self.settings)
        services = {"input_guard": read, "output_guard": leave, "tool_guard": self.judge}
        self.world = ObedientWorld((agent,), model=self.model, services=services)

    def tools(self) -> list[Tool]:
        """Return a directory and a sender, both trusted."""

        @tool(risk="read_only", trusted=True)
        async def find(name: str) -> str:
            return self.directory[name]

        @tool(trusted=True)
        async def send(to: str) -> str:
            self.sent.append(to)
            return f"sent to {to}"

        return [find, send]

    async def judge(self, tool: Tool, arguments: Mapping[str, Any], scope: StepScope) -> GuardedArguments:
        """Note the arguments that policies and guards see."""
        self.shown.append(str(dict(arguments)))
        return GuardedArguments(arguments)

    async def ask(self, text: str, request: str = "r-1", subject: str = "acme") -> Result:
        """Send a request through the guard stage and the worker."""
        screened = screened_of(Request(agent="desk", input=text, session="s"))
        guarded = placed(text, {})
        identity = screened.authorized.identity.model_copy(update={"subject": subject})
        authorized = screened.authorized.model_copy(update={"run_id": request, "identity": identity})
        update = {"text": guarded.text, "placeholders": dict(guarded.placeholders), "authorized": authorized}
        return await self.world.executor()(screened.model_copy(update=update), replace(context_of(), tenant=TENANT))

    def read_by_model(self) -> str:
        """Return all texts that the model has read, and all arguments that it has written."""
        return str([each.messages for each in self.model.asked])


async def test_a_tool_gets_the_data_and_the_model_the_placeholder() -> None:
    """Policy and guard, journal and memory see the placeholder; the user's own answer has the data."""
    desk = Desk()
    result = await desk.ask(f'DO send {{"to": "{ADA}"}};')

    assert desk.sent == [ADA]
    assert desk.shown == ["{'to': '<EMAIL_1>'}"]
    assert ADA not in desk.read_by_model()
    assert f"sent to {ADA}" in result.output
    assert all(ADA not in each.text for each in await desk.world.memory.load(SCOPE))
    assert await _texts_of_journal(desk) == 0


async def _texts_of_journal(desk: Desk) -> int:
    """Return the number of times that the journal has the data outside of the maps of placeholders."""
    journal = await desk.world.journal.open(("acme", "r-1"), context_of().token(), lost=False, expires_ms=2**50)  # type: ignore[arg-type]
    values = b" ".join(each.value for each in journal.entries.values())
    return len(re.findall(ADA.encode(), re.sub(rb'"placeholders":\{[^{}]*\}', b"", values)))


async def test_the_data_of_others_stays_hidden_in_the_answer() -> None:
    """The directory's address reaches the tool, and not the user."""
    desk = Desk({"bob": BOB})
    result = await desk.ask(f'From {ADA}: DO find {{"name": "bob"}};')
    assert BOB not in result.output
    assert "<EMAIL_2>" in result.output
    assert ADA in result.output

    await desk.ask('DO send {"to": "<EMAIL_2>"};', "r-2")
    assert desk.sent == ["[EMAIL_2]"]  # a literal of the user is no placeholder
    assert "[EMAIL_2]" in desk.read_by_model()


async def test_the_second_turn_has_other_numbers_than_the_first() -> None:
    """The guard stage numbers each request from 1; the session goes on counting."""
    desk = Desk()
    await desk.ask(f'DO send {{"to": "{ADA}"}};')
    result = await desk.ask(f'DO send {{"to": "{BOB}"}};', "r-2")

    assert desk.sent[-1] == BOB
    assert desk.shown[-1] == "{'to': '<EMAIL_2>'}"
    assert ADA in result.output  # the history has it, and the same user wrote it
    assert BOB in result.output


async def test_two_results_of_one_batch_do_not_share_a_number() -> None:
    """Both guards knew the same placeholders when they began."""
    desk = Desk({"bob": BOB, "eve": EVE})
    await desk.ask('DO find {"name": "bob"}; DO find {"name": "eve"};')
    results = [each.text for each in desk.model.asked[-1].messages if isinstance(each, ToolMessage)]
    assert results == ["<EMAIL_1>", "<EMAIL_2>"]


class _StoppedModel(ObedientModel):
    """Loses the run at its second call."""

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Obey once."""
        if self.asked:
            raise RunSupersededError
        return await super().complete(request)


async def test_a_resumed_run_has_the_same_numbers() -> None:
    """The directory has changed meanwhile; the journal has the first result and its placeholder."""
    desk = Desk({"bob": BOB}, model=_StoppedModel())
    with pytest.raises(RunSupersededError):
        await desk.ask(f'{ADA} DO find {{"name": "bob"}};')

    again = Desk({"bob": EVE})
    again.world.journal, again.world.memory = desk.world.journal, desk.world.memory
    result = await again.ask(f'{ADA} DO find {{"name": "bob"}};')
    assert "<EMAIL_2>" in result.output
    said = (await again.world.memory.load(SCOPE))[-1]
    assert said.placeholders == {"<EMAIL_1>": ADA, "<EMAIL_2>": BOB}


async def test_a_resumed_second_turn_knows_the_data_of_the_first() -> None:
    """The session comes from the journal of the run, and not from the store."""
    desk = Desk()
    await desk.ask(f"I am {ADA}")
    dying = Desk(model=_StoppedModel(asked=[ModelRequest(())]))
    dying.world.journal, dying.world.memory = desk.world.journal, desk.world.memory
    with pytest.raises(RunSupersededError):
        await dying.ask(f"And {BOB}?", "r-2")

    again = Desk()
    again.world.journal = desk.world.journal
    result = await again.ask(f"And {BOB}?", "r-2")
    assert ADA in result.output
    assert BOB in result.output


async def test_another_users_placeholder_does_not_resolve() -> None:
    """The sessions of two users have one name."""
    desk = Desk()
    await desk.ask(f"I am {ADA}")
    result = await desk.ask('DO send {"to": "<EMAIL_1>"};', "r-2", subject="mallory")
    assert ADA not in result.output
    assert ADA not in desk.sent


async def test_an_invented_placeholder_stays_as_it_is() -> None:
    """The run has no data for it."""
    desk = Desk({"bob": 'DO send {"to": "<EMAIL_7>"};'})
    await desk.ask('DO find {"name": "bob"};')
    assert desk.sent == ["[EMAIL_7]"]


async def test_a_structured_answer_is_restored_in_its_fields() -> None:
    """JSON with the user's own data, and placeholders for the data of others."""

    class Told(BaseModel):
        text: str

    desk = Desk({"bob": BOB}, settings={"output": Told}, model=ObedientModel(writes_json=True))
    result = await desk.ask(f'{ADA} DO find {{"name": "bob"}};')
    assert ADA in result.output["text"]
    assert "<EMAIL_2>" in result.output["text"]


async def test_a_summary_keeps_its_placeholders_and_their_owner() -> None:
    """The exchange with the address has left the window; the answer still shows it to its user."""
    desk = Desk(settings={"memory_tokens": 300})
    await desk.ask(f"I am {ADA}")
    for number in range(3):
        await desk.ask("x " * 400, f"r-x{number}")
    result = await desk.ask('DO send {"to": "nobody"};', "r-9")

    entries = await desk.world.memory.load(SCOPE)
    assert entries[0].role == "summary"
    assert entries[0].placeholders == {"<EMAIL_1>": ADA}
    assert all(ADA not in each.text for each in entries)
    assert ADA in result.output


async def test_arguments_are_validated_with_the_data_and_errors_do_not_quote_it() -> None:
    """A placeholder is no address, and a validator may quote what it refuses."""
    got: list[str] = []

    @tool(trusted=True)
    async def write(to: Customer) -> str:
        got.append(to)
        return "written"

    desk = Desk()
    desk.world.agents = (Agent("desk", tools=[write]),)
    await desk.ask(f'DO write {{"to": "{ADA}"}}; DO write {{"to": "{BOB}"}};')
    assert got == [ADA]
    assert BOB not in desk.read_by_model()
    assert "<EMAIL_2> is no customer" in desk.read_by_model()
    assert desk.shown == ["{'to': '<EMAIL_1>'}"]


async def test_a_middleware_sees_what_the_tool_gets() -> None:
    """A cache by arguments must not give one user's result to another, whose placeholder has the same number."""
    seen: list[Any] = []

    async def watch(operation: Operation, rest: Next) -> Any:  # noqa: ANN401 - as the operation's
        if operation.kind == "tool":
            seen.append(operation.value)
        return await rest(operation)

    await Desk(settings={"middleware": [watch]}).ask(f'DO send {{"to": "{ADA}"}};')
    assert seen == [{"to": ADA}]
