"""A report of a blocked event loop names the guard."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import FrameType

import pytest

from consumers.context import StepContext
from consumers.guard.blocked_guard import blamed_guard
from consumers.guard.content import Content
from consumers.guard.guards import GuardResult
from consumers.guard.pipeline import Pipeline
from tests.unit.consumers.guard.fakes import context, spec

pytestmark = pytest.mark.anyio


def current_frame() -> FrameType:
    """The frame of this function, on the stack of its caller."""
    frame = inspect.currentframe()
    assert frame is not None
    return frame


async def test_the_stack_of_a_guard_names_it() -> None:
    """Whatever function it blocks in, as a rewriting guard or as a detector."""
    found: list[Mapping[str, object]] = []

    def blocks() -> None:
        found.append(blamed_guard(current_frame()))

    async def guard(content: Content, _: StepContext) -> GuardResult:
        blocks()
        return GuardResult()

    await Pipeline(input=[spec("first", guard, rewrites=True), spec("second", guard)]).input(Content("x"), context())

    assert found == [{"guard": "first"}, {"guard": "second"}]


async def test_another_stack_names_none() -> None:
    """The agent's code is looked at next."""
    assert blamed_guard(current_frame()) == {}
