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

    def as_expected(self, result: Result) -> bool:
        """Return True if *result* is as expected."""
        code = result.error.code if result.error else None
        said = result.output if self.output is None else self.output
        answered = self.status != "succeeded" or (bool(said) and result.output == said)
        return result.status == self.status and code == self.code and answered


QUESTION = "What is a headrace, in one sentence?"
DEMO_REQUESTS = (
    DemoRequest("acme", Request(agent="assistant", input=QUESTION), "succeeded"),
    DemoRequest("acme", Request(agent="echo", input="The mill turns."), "succeeded", output="The mill turns."),
    DemoRequest("globex", Request(agent="echo", input="So does ours."), "succeeded", output="So does ours."),
    DemoRequest("globex", Request(agent="assistant", input=QUESTION), "refused", code="forbidden"),
)


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
    async with asyncio.TaskGroup() as tasks:
        playing = [tasks.create_task(_play(settings, scene)) for scene in DEMO_REQUESTS]
    return [task.result() for task in playing]


async def _play(settings: Settings, scene: DemoRequest) -> DemoOutcome:
    async with opened(settings, scene.tenant, wait=True) as client:
        await client.send(scene.request)
        async with aclosing(client.arriving(PATIENCE_S)) as arriving:
            return DemoOutcome(scene, await anext(arriving))
