"""Run the stages of a local platform, each in its own process."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.background import background
from ops.debugging import lent_terminal
from ops.dev.stage_output import LineForm, StageOutput, plain_line
from ops.embedded.children import started
from ops.embedded.ports import LOOPBACK
from ops.errors import StackError
from ops.processes import AGENT, AT_TERMINAL, Changes
from ops.settings import Settings, revealed, stage_environment
from ops.supervisor import KILL_AFTER_S, StageProcess
from streams.journey import DEPLOYED, JourneyName

START_S = 60.0
DISCOVERY = "/http_sd"
"""Path of Prometheus' HTTP service discovery on the platform's page."""


@dataclass(frozen=True, slots=True)
class StageFolder:
    """The folder of the stages' logs, and the time that the stages have to drain."""

    path: Path
    grace: float
    """Seconds for a process to drain."""


@dataclass(frozen=True, slots=True)
class StageLog:
    """The log of one stage's process. The log of the process before is kept beside it (``started``)."""

    stage: str
    folder: StageFolder
    at_terminal: bool = False
    """True if the process reads the terminal, and writes to it what agents print."""

    @property
    def path(self) -> Path:
        """The log file of the running process."""
        return self.folder.path / f"{self.stage}.log"

    @asynccontextmanager
    async def launch(self, command: Sequence[str], descriptor: int) -> AsyncGenerator[Process]:
        """Run the stage's process during the block (``supervisor.Launch``)."""
        name, grace = f"the stage {self.stage}", self.folder.grace + KILL_AFTER_S
        environment = stage_environment()
        command = [*command, AT_TERMINAL] if self.at_terminal else command
        child = started(
            name, command, self.path, grace=grace, env=environment, inherit=[descriptor], terminal=self.at_terminal
        )
        async with child as running:
            with lent_terminal(running.pid) if self.at_terminal else nullcontext():
                yield running.process

    def last_words(self) -> str:
        """Return the last line of the log, and the log's path."""
        lines = self.path.read_text(errors="replace").splitlines() if self.path.exists() else []
        return f"{lines[-1] if lines else 'it said nothing'} (log: {self.path})"


@dataclass(slots=True)
class Stages:
    """All stages. They start at once, and wait for ``found`` before they do anything."""

    processes: list[StageProcess]
    outputs: list[StageOutput]
    found: asyncio.Future[Changes]
    """The settings to send to the stages, with all addresses."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start the stages and enter the block at once; at its end, drain them."""
        async with AsyncExitStack() as stack:
            for output in self.outputs:
                stack.callback(output.look)
                await stack.enter_async_context(background(output.follow()))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            for process in self.processes:
                tasks.create_task(process.run())
            yield
            for process in self.processes:
                process.stop()

    async def ready(self) -> None:
        """Wait until each stage serves its shards. Raises StackError after a minute."""
        try:
            async with asyncio.timeout(START_S):
                for process in self.processes:
                    await process.ready.wait()
        except TimeoutError:
            late = next(process for process in self.processes if not process.ready.is_set())
            raise StackError(f"the stage {late.stage} is not ready after {START_S:g} s: {late.last_words()}") from None

    def waiting(self) -> list[str]:
        """Return the stages that do not serve at the moment."""
        return [process.stage for process in self.processes if not process.ready.is_set()]

    def pids(self) -> dict[str, int]:
        """Return the process id of each stage."""
        return {process.stage: process.pid for process in self.processes}

    def health(self) -> dict[str, str]:
        """Return the address of each stage's health and metrics."""
        return {process.stage: process.http for process in self.processes if process.http}

    def reload_agents(self) -> None:
        """Restart the agent stage with the current agents."""
        for process in self.processes:
            if process.stage == AGENT:
                process.restart()


def addresses(settings: Settings) -> dict[str, Any]:
    """Return the settings fields that a stage must receive."""
    return {**revealed(settings), "log": "json", "log_errors": "text", "http_port": 0, "http_host": LOOPBACK}


def stages(
    journey: JourneyName,
    folder: StageFolder,
    tell: Callable[[str], None],
    shown: LineForm = plain_line,
    *,
    debug: bool = False,
) -> Stages:
    """Return the stages of a journey, with their logs in *folder*. *tell* gets their output as *shown* forms it.

    With *debug*, the agent stage owns the terminal.
    """
    found: asyncio.Future[Changes] = asyncio.get_running_loop().create_future()
    logs = [StageLog(stage, folder, debug and stage == AGENT) for stage in DEPLOYED[journey]]
    outputs = [StageOutput(log.stage, log.path, tell, shown) for log in logs]
    return Stages([StageProcess(log.stage, log.launch, tell, found, log.last_words) for log in logs], outputs, found)
