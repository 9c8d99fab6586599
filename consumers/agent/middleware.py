"""Middleware: one wrapper around each model call, tool call, memory access and handoff of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from consumers.agent.run import Run


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a run. A middleware may pass on a changed copy."""

    kind: Literal["model", "tool", "memory", "handoff"]
    name: str
    """Name of the model, tool, memory or agent."""

    value: Any
    """A ``ModelRequest``, the validated arguments of a tool, the scope of a memory, or the reason of a handoff."""

    run: Run
    step: str
    """Id of the step in the run's journal."""


Next: TypeAlias = Callable[[Operation], Awaitable[Any]]
"""The rest of the chain. It returns a ``ModelResponse``, a tool's result, memory entries, or None for a handoff."""

Middleware: TypeAlias = Callable[[Operation, Next], Awaitable[Any]]
"""A wrapper: await ``next(operation)`` and return its result or another one. It may raise a HeadraceError."""


def compose(middleware: Sequence[Middleware], core: Next) -> Next:
    """Return *core* inside all middleware. The first is the outermost."""
    for each in reversed(middleware):
        core = partial(_around, each, core)
    return core


async def _around(middleware: Middleware, core: Next, operation: Operation) -> Any:  # noqa: ANN401 - as the operation's
    return await middleware(operation, core)
