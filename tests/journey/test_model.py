"""Odd answers of a model, seen from outside: what each costs, and what its result says."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from tests.journey.kcat import Kcat
from tests.journey.platform import Platform
from tests.journey.test_admission import ask, submit, tenant_of

pytestmark = [pytest.mark.timeout(180), pytest.mark.parametrize("platform", ["compact"], indirect=True)]

COMPLETION = '{"model": null, "choices": [{"message": %s}], "usage": {"prompt_tokens": %s, "completion_tokens": 2}}'
CALLS = '{"content": null, "tool_calls": [{"id": "1", "function": {"name": "rm_rf", "arguments": "{}"}}]}'
BODIES: dict[str, dict[str, Any]] = {
    "html": {"raw": "<html>captive portal</html>"},
    "tools": {"raw": COMPLETION % (CALLS, 3)},
    "bomb": {"fault": {"kind": "bomb", "size": 500}},
    "drip": {"fault": {"kind": "drip"}},
    "null": {"raw": COMPLETION % ('{"content": "hi"}', "null")},
    "huge": {"raw": COMPLETION % ('{"content": "hi"}', 10**30)},
    "list": {"status": 400, "raw": '{"error": {"type": ["x"], "code": {"a": 1}}}'},
    "beyond": {"status": 429, "headers": {"retry-after": "Thu, 01 Jan 2099 00:00:00 +99999999999999999999"}},
    "later": {"status": 429, "headers": {"retry-after": "1e9"}},
}


def test_an_odd_answer_is_typed_and_paid_for_twice_at_most(platform: Platform, tmp_path: Path) -> None:
    """Nine calls for a page of HTML were nine invoices."""
    tenant, mark = tenant_of(platform, "--agent", "assistant"), uuid.uuid4().hex
    platform.model.clear()
    platform.model.script(*({**body, "match": f"{mark}-{name}", "times": 99} for name, body in BODIES.items()))
    requests = {name: ask(0, agent="assistant") | {"input": f"{mark}-{name}"} for name in BODIES}
    deadlines = {"beyond": 5, "later": 5, "drip": 3}
    for name, request in requests.items():
        request["deadline"] = deadlines.get(name, 60)
    submit(platform, tenant, list(requests.values()), tmp_path / "odd.jsonl")

    seen = Kcat(platform.bootstrap).wait(topics.RESULTS.of(tenant), lambda _: True, count=len(requests), within=90)

    by_id = {each.json["request_id"]: each.json for each in seen}
    found = {name: _told(by_id[str(request["id"])]) for name, request in requests.items()}
    platform.model.clear()
    assert found == {
        "html": ("failed", "model_unreadable", 0, 2),
        "tools": ("failed", "model_unreadable", 6, 2),
        "bomb": ("failed", "model_unreadable", 0, 2),
        "drip": ("expired", "expired", 0, 0),
        "null": ("succeeded", None, 0, 1),
        "huge": ("succeeded", None, 1_000_000_000, 1),
        "list": ("failed", "model_rejected", 0, 0),
        "beyond": ("failed", "model_overloaded", 0, 0),
        "later": ("failed", "model_overloaded", 0, 0),
    }
    assert {name: _asked(platform, f"{mark}-{name}") for name in ("html", "tools", "bomb", "list")} == {
        "html": 2,
        "tools": 2,
        "bomb": 2,
        "list": 1,
    }
    used = [each for each in Kcat(platform.bootstrap).read(topics.USAGE.name) if each.key == tenant]
    assert all("traceparent" in each.headers and each.headers["correlation_id"] for each in used)
    assert sorted((each.json["status"], each.json["input_tokens"], each.json["model_calls"]) for each in used) == [
        ("failed", 0, 2),
        ("failed", 0, 2),
        ("failed", 6, 2),
        ("succeeded", 0, 1),
        ("succeeded", 1_000_000_000, 1),
    ], "one for each run that was answered, and none for the others"


def _told(result: Mapping[str, Any]) -> tuple[str, str | None, int, int]:
    usage = result["usage"]
    return result["status"], (result.get("error") or {}).get("code"), usage["input_tokens"], usage["model_calls"]


def _asked(platform: Platform, text: str) -> int:
    return sum(call["body"]["messages"][-1]["content"] == text for call in platform.model.calls()["calls"])
