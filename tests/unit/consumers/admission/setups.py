"""A door for tests, and those that ask to enter."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from consumers.admission.controller import AdmissionController, AdmissionDecision
from consumers.admission.rates import UNLIMITED, Rates
from schemas.admissions import AdmissionKey
from tests.clock import Clock, settled

HOUR = 3_600_000


def admission(
    name: str,
    *,
    lane: str | None = None,
    body: str = "a",
    tenant: str = "acme",
    agent: str = "echo",
    user: str = "u",
) -> AdmissionKey:
    """Of a request that has a lane of its own unless it is given one."""
    return AdmissionKey(
        key=f"{tenant}|{name}", body=body, lane=lane or name, request_id=name, deadline_ms=0, agent=agent, subject=user
    )


class Waiting:
    """Tasks that ask to enter, in order, and what came of them."""

    def __init__(
        self, controller: AdmissionController, group: asyncio.TaskGroup, rates: Rates = UNLIMITED, limit: int = 1
    ) -> None:
        self.controller, self.group, self.rates, self.limit = controller, group, rates, limit
        self.entered: list[str] = []
        self.aside = 0
        """Those that wait beside the window."""

        self.tasks: list[asyncio.Task[AdmissionDecision]] = []

    async def ask(self, *tickets: AdmissionKey, limit: int | None = None) -> list[asyncio.Task[AdmissionDecision]]:
        """Let these ask, until none of them can go on."""
        tasks = [self.group.create_task(self._enter(each, limit or self.limit)) for each in tickets]
        self.tasks += tasks
        await settled()
        return tasks

    async def _enter(self, each: AdmissionKey, limit: int) -> AdmissionDecision:
        lookup = await self.controller.enter(each, limit, self.rates, self._beside)
        if lookup == "new":
            self.entered.append(each.request_id)
        return lookup

    @contextmanager
    def _beside(self) -> Generator[None]:
        self.aside += 1
        try:
            yield
        finally:
            self.aside -= 1

    async def leave(self) -> None:
        """Everybody who still waits goes away."""
        for task in self.tasks:
            task.cancel()
        await settled()


class AdmissionSetup(Waiting):
    """The same at a door of its own, whose clock can be moved."""

    def __init__(self, group: asyncio.TaskGroup, rates: Rates = UNLIMITED, limit: int = 99) -> None:
        self.clock = Clock()
        super().__init__(AdmissionController(self.clock, window_ms=HOUR), group, rates, limit)

    async def pass_ms(self, milliseconds: int) -> None:
        """So much time goes by."""
        self.clock.at += milliseconds
        await settled()
