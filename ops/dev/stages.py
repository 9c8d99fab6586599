"""The stages of a platform on this machine, each in a process of its own."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.children import started
from ops.errors import StackError
from ops.processes import Changes
from ops.settings import Settings
from ops.supervisor import KILL_AFTER_S, StageProcess
from streams.journey import DEPLOYED, JourneyName

START_S = 60.0
AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Log:
    """Where one stage's process says what it does; what the one before said is kept beside it."""

    stage: str
    folder: Path
    grace: float
    """Seconds that the process has for its drain."""

    @property
    def path(self) -> Path:
        """Of the process that runs."""
        return self.folder / f"{self.stage}.log"

    @asynccontextmanager
    async def launch(self, command: Sequence[str], descriptor: int) -> AsyncGenerator[Process]:
        """The stage's process (``supervisor.Launch``)."""
        if self.path.exists():
            self.path.replace(self.folder / f"{self.stage}.before.log")
        name = f"the stage {self.stage}"
        async with started(name, command, self.path, grace=self.grace + KILL_AFTER_S, inherit=[descriptor]) as child:
            yield child.process

    def last_words(self) -> str:
        """The last line, and where the others are."""
        lines = self.path.read_text(errors="replace").splitlines() if self.path.exists() else []
        return f"{lines[-1] if lines else 'it said nothing'} (log: {self.path})"


@dataclass(slots=True)
class Stages:
    """All of them; they start at once, and wait for ``found`` before they do anything."""

    processes: list[StageProcess]
    found: asyncio.Future[Changes]
    """Where everything is."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start them and return at once; at the end of the block, let them drain."""
        async with asyncio.TaskGroup() as tasks:
            for process in self.processes:
                tasks.create_task(process.run())
            yield
            for process in self.processes:
                process.stop()

    async def ready(self) -> None:
        """Wait until each serves what it owns. Raises StackError after a minute."""
        try:
            async with asyncio.timeout(START_S):
                for process in self.processes:
                    await process.ready.wait()
        except TimeoutError:
            late = next(process for process in self.processes if not process.ready.is_set())
            raise StackError(f"the stage {late.stage} is not ready after {START_S:g} s: {late.last_words()}") from None

    def waiting(self) -> list[str]:
        """Those that do not serve at the moment."""
        return [process.stage for process in self.processes if not process.ready.is_set()]

    def pids(self) -> dict[str, int]:
        """Their process ids."""
        return {process.stage: process.pid for process in self.processes}

    def health(self) -> dict[str, str]:
        """Where the health and metrics of each are."""
        return {process.stage: process.http for process in self.processes if process.http}

    def reload_agents(self) -> None:
        """Let the agent stage start again, with the agents as they are now."""
        for process in self.processes:
            if process.stage == AGENT:
                process.restart()


def addresses(settings: Settings) -> dict[str, str]:
    """What a stage must be told: fields of its settings."""
    changes = {"kafka_bootstrap": settings.kafka_bootstrap or "", "log": "json", "http_port": "0"}
    if settings.valkey_url is not None:
        changes["valkey_url"] = settings.valkey_url.get_secret_value()
    if settings.agents is not None:
        changes["agents"] = settings.agents
    return changes


def stages(journey: JourneyName, folder: Path, grace: float, tell: Callable[[str], None]) -> Stages:
    """The stages of a journey, with their logs in *folder*."""
    found: asyncio.Future[Changes] = asyncio.get_running_loop().create_future()
    logs = [Log(stage, folder, grace) for stage in DEPLOYED[journey]]
    return Stages([StageProcess(log.stage, log.launch, tell, found, log.last_words) for log in logs], found)
