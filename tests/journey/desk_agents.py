"""A front desk that hands over to billing. It kills its own process where the request's metadata says so.

``kill`` is ``before STEP``, ``after STEP``, ``inside STEP``, ``at the end`` or ``remembered``, and ``kills`` the number
of times. ``hold`` is a moment before or after a step at which the first attempt waits for a file ``released.ID``.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from consumers.agent.memory.port import MemoryEntry, MemoryScope
from consumers.agent.memory.session_valkey import ValkeySessionMemory
from headrace import Agent, Next, Operation, Run, tool

FOLDER = Path(__file__).parent


def once(run: Run, moment: str) -> None:
    """Kill this process at the request's moment, as often as it says; each time leaves a file."""
    if run.metadata.get("kill") != moment:
        return
    for number in range(int(run.metadata.get("kills", "1"))):
        try:
            (FOLDER / f"killed.{run.request_id}.{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


async def hold(run: Run, moment: str) -> None:
    """Wait at the request's moment until the test goes on. The file ``held.ID`` has this process's id."""
    held = FOLDER / f"held.{run.request_id}"
    if run.metadata.get("hold") != moment or held.exists():
        return
    (new := FOLDER / f"new.{run.request_id}").write_text(str(os.getpid()))
    new.rename(held)
    while not (FOLDER / f"released.{run.request_id}").exists():  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(0.02)


async def deadly(operation: Operation, rest: Next) -> Any:  # noqa: ANN401 - as the operation's
    """Kill the process, or wait, before or after the operation."""
    run = operation.run
    name = operation.step.rpartition("/")[2]  # the steps of an agent with a function are below its call
    once(run, f"before {name}")
    await hold(run, f"before {name}")
    found = await rest(operation)
    once(run, f"after {name}")
    await hold(run, f"after {name}")
    return found


async def answer(text: str, run: Run) -> Any:  # noqa: ANN401 - as the run's
    """Answer by model and tools; kill the process when everything is done and recorded."""
    runs[run.run_id] = run
    found = await run.respond(text)
    once(run, "at the end")
    return found


runs: dict[str, Run] = {}
append = ValkeySessionMemory.append


async def remembered(
    self: ValkeySessionMemory,
    scope: MemoryScope,
    run_id: str,
    entries: Sequence[MemoryEntry],
    *,
    summary: MemoryEntry | None = None,
) -> None:
    """Append, and kill the process before the result is written."""
    await append(self, scope, run_id, entries, summary=summary)
    once(runs[run_id], "remembered")


if __name__ == "desk_agents":  # in a worker; the tests import it by another name, and keep their own class
    ValkeySessionMemory.append = remembered  # type: ignore[method-assign]


def note(name: str, run: Run, line: str) -> str:
    """Make the effect: a line in the request's file."""
    with (FOLDER / f"{name}.{run.request_id}").open("a") as file:
        file.write(f"{line}\n")
    once(run, "inside 2.tool.1")
    return "done"


@tool(trusted=True)
async def charge(order: str, run: Run) -> str:
    """Charge an order."""
    return note("effects", run, order)


@tool(trusted=True)
async def charge_by_key(order: str, run: Run, idempotency_key: str) -> str:
    """Charge an order once for each key."""
    return note("effects", run, idempotency_key)


@tool(risk="read_only")
async def look_up(order: str, run: Run) -> str:
    """Return an order."""
    return note("effects", run, order)


@tool(risk="read_only")
async def read_mail() -> str:
    """Return a mail of other people."""
    return "a letter"


front = Agent(
    "front",
    instructions="Front desk.",
    tools=[charge, charge_by_key, look_up],
    handoffs=["billing"],
    memory=("session",),
    middleware=[deadly],
    answer=answer,
)
billing = Agent("billing", instructions="Billing.", middleware=[deadly])
clerk = Agent(
    "clerk",
    instructions="Mail clerk.",
    tools=[read_mail, charge],
    memory=("session",),
    middleware=[deadly],
    answer=answer,
)
