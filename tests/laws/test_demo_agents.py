"""The scripted half of the demonstration, without its platform."""

from __future__ import annotations

import pytest

from headrace.testing import run_agent
from ops.dev.demo_agents import helpdesk, refunds
from ops.dev.demo_requests import SCRIPTED_REQUESTS

pytestmark = pytest.mark.anyio


async def test_the_scripted_run_calls_a_tool_and_hands_over() -> None:
    """It asks no model of the worker: an empty script would fail it."""
    (scene,) = SCRIPTED_REQUESTS

    result = await run_agent(helpdesk, scene.request.text, agents=[refunds], script=[])

    assert scene.as_expected(result)
    assert (result.usage.model_calls, result.usage.tool_calls, result.calls) == (3, 1, ())
