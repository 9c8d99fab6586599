"""Real requests of two tenants, and what has to become of each."""

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
"""For a model that runs on this machine's processor."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A request, and how it must end."""

    tenant: str
    request: Request
    status: Status
    code: str | None = None
    output: str | None = None
    """None: whatever the model says, if it says anything."""

    def as_expected(self, result: Result) -> bool:
        """Whether it ended like that."""
        code = result.error.code if result.error else None
        said = result.output if self.output is None else self.output
        answered = self.status != "succeeded" or (bool(said) and result.output == said)
        return result.status == self.status and code == self.code and answered


QUESTION = "What is a headrace, in one sentence?"
SCENES = (
    Scene("acme", Request(agent="assistant", input=QUESTION), "succeeded"),
    Scene("acme", Request(agent="echo", input="The mill turns."), "succeeded", output="The mill turns."),
    Scene("globex", Request(agent="echo", input="So does ours."), "succeeded", output="So does ours."),
    Scene("globex", Request(agent="assistant", input=QUESTION), "refused", code="forbidden"),
)


@dataclass(frozen=True, slots=True)
class Played:
    """A scene with what became of it."""

    scene: Scene
    result: Result

    @property
    def as_expected(self) -> bool:
        """Whether it ended as it must."""
        return self.scene.as_expected(self.result)


async def play(settings: Settings) -> list[Played]:
    """Send them all at once, and wait for each. Raises NoResultError if one does not come."""
    async with asyncio.TaskGroup() as tasks:
        playing = [tasks.create_task(_play(settings, scene)) for scene in SCENES]
    return [task.result() for task in playing]


async def _play(settings: Settings, scene: Scene) -> Played:
    async with opened(settings, scene.tenant, wait=True) as client:
        await client.send(scene.request)
        async with aclosing(client.arriving(PATIENCE_S)) as arriving:
            return Played(scene, await anext(arriving))
