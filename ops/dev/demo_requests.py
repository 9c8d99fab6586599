"""Submit real requests of two tenants, and check the result of each."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from ops.client import opened
from ops.settings import Settings
from schemas.errors import Status
from schemas.requests import Request
from schemas.results import Result

PATIENCE_S = 90.0
"""Seconds to wait for a result: the model may run on this machine's processor."""


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """A request and its expected result."""

    tenant: str
    request: Request
    status: Status
    code: str | None = None
    output: str | None = None
    """The expected output. None: any output of the model that is not empty."""

    handoffs: tuple[str, ...] = ()
    """The agents that the run is expected to be handed over to."""

    def as_expected(self, result: Result) -> bool:
        """Return True if *result* is as expected."""
        code = result.error.code if result.error else None
        said = result.output if self.output is None else self.output
        answered = self.status != "succeeded" or (bool(said) and result.output == said)
        reached = result.status == self.status and result.handoffs == self.handoffs
        return reached and code == self.code and answered


QUESTION = "What is the capital of France?"
"""A question that a very small model answers well."""

DEMO_REQUESTS = (
    DemoRequest("acme", Request(agent="assistant", input=QUESTION), "succeeded"),
    DemoRequest("acme", Request(agent="echo", input="The mill turns."), "succeeded", output="The mill turns."),
    DemoRequest("globex", Request(agent="echo", input="So does ours."), "succeeded", output="So does ours."),
    DemoRequest("globex", Request(agent="assistant", input=QUESTION), "refused", code="forbidden"),
)

AGENTS = "ops.dev.demo_agents"
"""The module of the agents of ``SCRIPTED_REQUESTS``."""

SCRIPTED_REQUESTS = (
    DemoRequest(
        "acme",
        Request(agent="helpdesk", input="Order 7 arrived broken."),
        "succeeded",
        output="Order 7, a bicycle saddle, is refunded: 39 euros.",
        handoffs=("refunds",),
    ),
)
"""Requests with a tool call and a handoff, whose model is scripted."""


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """A scene and its actual result."""

    scene: DemoRequest
    result: Result

    @property
    def as_expected(self) -> bool:
        """True if the result is as expected."""
        return self.scene.as_expected(self.result)


async def play(settings: Settings) -> list[DemoOutcome]:
    """Submit all scenes at once and return their results. Raises NoResultError if one does not arrive."""
    scenes = (*DEMO_REQUESTS, *(SCRIPTED_REQUESTS if settings.agents == AGENTS else ()))
    async with asyncio.TaskGroup() as tasks:
        playing = [tasks.create_task(_play(settings, scene)) for scene in scenes]
    return [task.result() for task in playing]


async def _play(settings: Settings, scene: DemoRequest) -> DemoOutcome:
    async with opened(settings, scene.tenant, wait=True) as client:
        await client.send(scene.request)
        async with aclosing(client.arriving(PATIENCE_S)) as arriving:
            return DemoOutcome(scene, await anext(arriving))
