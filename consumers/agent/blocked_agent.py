"""The agent whose code a stack belongs to, for a report of what blocks the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_stack
from types import FrameType

from consumers.agent.code_places import user_places
from consumers.agent.run import Run


def blamed_agent(frame: FrameType) -> Mapping[str, object]:
    """Return log fields: the agent and the run that a stack belongs to, and its lines of the user's own code.

    The agent is unknown if its code runs in a task of its own.
    """
    run = next((run for each, _ in walk_stack(frame) if (run := _run_in(each))), None)
    own = [f"{place} {place.function}" for place in user_places(walk_stack(frame)) if not place.is_library]
    told: dict[str, object] = {"agent": run.agent, "run_id": run.run_id} if run else {}
    return told | {"user_code": own[::-1]} if own else told


def _run_in(frame: FrameType) -> Run | None:
    return next((value for value in list(frame.f_locals.values()) if isinstance(value, Run)), None)
