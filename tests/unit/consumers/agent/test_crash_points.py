"""A run whose worker dies after any write of its journal, and goes on in another worker."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from consumers.agent.agents import Agent
from consumers.agent.executor import Executor
from consumers.agent.journal.memory import MemoryJournal
from consumers.agent.memory.port import MemoryScope
from consumers.agent.memory.session_local import LocalSessionMemory
from consumers.agent.models.openai_wire import encode
from consumers.agent.models.port import ModelRequest, ModelResponse, ModelUsage, ToolCall, ToolMessage
from consumers.agent.registry import AgentRegistry
from consumers.agent.services import AgentServices
from consumers.agent.tools.tool import tool
from ops.embedded.chat_rules import refusal_of
from schemas.clock import SystemClock
from schemas.errors import ToolOutcomeUnknownError
from schemas.requests import Request
from schemas.results import Result
from tests.unit.consumers.agent.fakes import at_once, context_of, screened_of

pytestmark = pytest.mark.anyio

SCOPE = MemoryScope("acme", "acme", "s", "topic")
WRITES = 16
"""More than the writes of a whole run."""


class CrashingJournal(MemoryJournal):
    """A journal whose worker dies after a number of writes, before or after the write itself."""

    worker: asyncio.Task[Any] | None

    def __init__(self, left: int, *, loses_write: bool) -> None:
        super().__init__(SystemClock())
        self.left, self.loses_write, self.worker = left, loses_write, None

    async def write(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as the port
        """Write, unless the worker dies before."""
        self.left -= 1
        if self.left == 0 and self.loses_write:
            await self._die()
        await super().write(*given, **named)
        if self.left == 0:
            await self._die()

    async def _die(self) -> None:
        if self.worker is not None:
            self.worker.cancel()
        await asyncio.Event().wait()


@dataclass
class Desk:
    """A front desk that looks and orders at once, and then hands over to billing. It counts everything."""

    journal: CrashingJournal
    counts: Counter[str] = field(default_factory=Counter[str])
    memory: LocalSessionMemory = field(default_factory=LocalSessionMemory)

    async def complete(self, request: ModelRequest) -> ModelResponse:
        """Answer by the conversation, as a model with temperature 0 does. Refuse what a provider refuses."""
        assert refusal_of(json.loads(encode(request, "m"))) is None
        results = [each for each in request.messages if isinstance(each, ToolMessage)]
        self.counts[f"model after {len(results)}"] += 1
        if not results:
            return _calls(ToolCall("1", "order", '{"item": "tea"}'), ToolCall("2", "look", "{}"))
        return _calls(ToolCall("3", "transfer_to_billing", "{}")) if len(results) == 2 else _text("paid")

    def executor(self) -> Executor:
        """Return the executor of a new worker."""

        @tool
        async def order(item: str) -> str:
            self.counts[f"order {item}"] += 1
            return "ordered"

        @tool(risk="read_only")
        async def look() -> str:
            self.counts["look"] += 1
            return "seen"

        desk = Agent("desk", tools=[order, look], handoffs=["billing"], memory=["session"])
        return Executor(
            AgentServices(
                agents=AgentRegistry([desk, Agent("billing")]),
                models={"default": self},
                journal=self.journal,
                memory=self.memory,
                retry=at_once(),
            )
        )

    async def run(self) -> Result:
        """Run in a new worker."""
        screened = screened_of(Request(agent="desk", input="x", session="s"), left=60)
        return await self.executor()(screened, context_of())


def _calls(*calls: ToolCall) -> ModelResponse:
    return ModelResponse("", calls, ModelUsage(10, 1))


def _text(text: str) -> ModelResponse:
    return ModelResponse(text, usage=ModelUsage(10, 1))


async def _until_it_dies(desk: Desk) -> bool:
    """Return True if the worker died."""
    task = desk.journal.worker = asyncio.get_running_loop().create_task(desk.run())
    await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.parametrize("loses_write", [False, True])
async def test_a_run_repeats_nothing_after_a_crash_at_any_write(*, loses_write: bool) -> None:
    """A lost write repeats one step at most, and never the order."""
    ends = [end async for end in _ends(loses_write=loses_write)]
    assert len(ends) >= 7
    assert "unknown" in ends
    assert ends.count("paid") >= 5


async def _ends(*, loses_write: bool) -> AsyncIterator[str]:
    """Yield how the run ended in the second worker, for each write after which the first one died."""
    for left in range(1, WRITES):
        desk = Desk(CrashingJournal(left, loses_write=loses_write))
        if not await _until_it_dies(desk):
            return
        end = await _again(desk)
        assert desk.counts["order tea"] <= 1
        assert sum(desk.counts.values()) <= 5 + loses_write, desk.counts
        yield end


async def _again(desk: Desk) -> str:
    try:
        result = await desk.run()
    except ToolOutcomeUnknownError:
        return "unknown"
    assert (result.output, result.handoffs, desk.counts["order tea"]) == ("paid", ("billing",), 1)
    assert (result.usage.model_calls, result.usage.tool_calls) == (3, 2)
    assert len(await desk.memory.load(SCOPE)) == 2
    return "paid"
