"""What the demonstration takes for success."""

from __future__ import annotations

import pytest

from ops.dev.demo_requests import DEMO_REQUESTS, DemoRequest
from schemas.requests import Request
from schemas.results import Result

ECHO = DemoRequest("acme", Request(agent="echo", input="x"), "succeeded", output="x")
ASK = DemoRequest("acme", Request(agent="assistant", input="x"), "succeeded")
NO = DemoRequest("globex", Request(agent="assistant", input="x"), "refused", code="forbidden")
HAND = DemoRequest("acme", Request(agent="a", input="x"), "succeeded", output="x", handoffs=("b",))
FORBIDDEN = {"code": "forbidden", "message": "no"}


def _result(**fields: object) -> Result:
    return Result.model_validate({"request_id": "r", "run_id": "r", "agent": "echo", **fields})


@pytest.mark.parametrize(
    ("scene", "fields", "expected"),
    [
        (ECHO, {"status": "succeeded", "output": "x"}, True),
        (ECHO, {"status": "succeeded", "output": "y"}, False),
        (ECHO, {"status": "failed", "error": {"code": "internal", "message": "no"}}, False),
        (ASK, {"status": "succeeded", "output": "whatever"}, True),
        (ASK, {"status": "succeeded", "output": ""}, False),
        (ASK, {"status": "succeeded"}, False),
        (ECHO, {"status": "succeeded", "output": "x", "handoffs": ["b"]}, False),
        (HAND, {"status": "succeeded", "output": "x", "handoffs": ["b"]}, True),
        (HAND, {"status": "succeeded", "output": "x"}, False),
        (NO, {"status": "refused", "error": FORBIDDEN}, True),
        (NO, {"status": "refused", "error": {"code": "blocked", "message": "no"}}, False),
        (NO, {"status": "succeeded", "output": "x"}, False),
    ],
)
def test_a_scene_ends_as_it_must(scene: DemoRequest, fields: dict[str, object], expected: bool) -> None:  # noqa: FBT001
    """A demonstration that cannot fail shows nothing."""
    assert scene.as_expected(_result(**fields)) is expected


def test_it_shows_two_tenants_both_agents_and_a_refusal() -> None:
    """What the platform is for: tenants, agents, policy."""
    assert len(DEMO_REQUESTS) >= 4
    assert {scene.tenant for scene in DEMO_REQUESTS} == {"acme", "globex"}
    assert {scene.request.agent for scene in DEMO_REQUESTS} == {"assistant", "echo"}
    assert [scene.code for scene in DEMO_REQUESTS if scene.status == "refused"] == ["forbidden"]
