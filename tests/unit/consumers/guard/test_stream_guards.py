"""The guards of a stream are those of the tenant's output stage."""

from __future__ import annotations

import json

import pytest

from consumers.guard.content import Content
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import GuardResult
from consumers.guard.registry import OWN, GuardConfigError, GuardRegistry, by_name
from consumers.guard.stream_guards import stream_arguments, stream_guard
from schemas.errors import BlockedError
from schemas.guards import GuardSettings, TenantGuards
from schemas.models import Payload
from tests.unit.consumers.guard.fakes import Told

ANSWER = Content("", channel="answer", placeholders={"<EMAIL_1>": "ada@example.com"})
ONLY_PII = GuardRegistry(defaults={"input": (), "tool": (), "output": ("pii",)})


class NoSettings(Payload):
    """A configuration without fields."""


def streamed(text: str, tenant: TenantGuards, registry: GuardRegistry = ONLY_PII) -> str:
    """Return all that leaves, character by character."""
    stream = stream_guard(registry, ANSWER, tenant)
    return "".join(map(stream.feed, text)) + stream.finish()


def settings(**changes: object) -> TenantGuards:
    """Return settings of the guard for personal data."""
    return TenantGuards(output={"pii": GuardSettings.model_validate(changes)})


def test_a_stream_has_the_placeholders_of_its_run() -> None:
    """Equal values have one placeholder, and a literal of another is no placeholder."""
    text = "Ada@example.com, bob@example.com, <EMAIL_1>, <EMAIL_9>!"
    assert streamed(text, settings()) == "<EMAIL_1>, <EMAIL_2>, <EMAIL_1>, [EMAIL_9]!"


@pytest.mark.parametrize("changes", [{"enabled": False}, {"shadow": True}, {"config": {"kinds": []}}])
def test_a_guard_without_effect_changes_no_stream(changes: dict[str, object]) -> None:
    """A guard in shadow mode only reports, and the pipeline reports."""
    assert streamed("bob@example.com", settings(**changes)) == "bob@example.com"


def test_a_blocking_guard_blocks_the_stream() -> None:
    """Its name is in the error, the value is not."""
    with pytest.raises(BlockedError, match="the guard pii blocked the answer") as raised:
        streamed("to bob@example.com now", settings(config={"action": "block"}))
    assert "bob" not in raised.value.detail


def test_a_guard_that_cannot_judge_streams_keeps_the_answer_whole() -> None:
    """To leave it out would be a hole."""
    plugin = GuardPlugin("own", NoSettings, lambda _config, _stage, _work: Told(GuardResult("flag")))
    registry = GuardRegistry(plugins=by_name((*OWN, plugin)), defaults={"input": (), "tool": (), "output": ("own",)})
    with pytest.raises(GuardConfigError, match="guard output:own: it cannot judge a stream"):
        stream_guard(registry, ANSWER)


def test_arguments_have_the_same_guards() -> None:
    """Members are guarded one by one."""
    stream = stream_arguments(ONLY_PII, ANSWER)
    text = json.dumps({"to": ["bob@example.com", "ada@example.com"], "n": 1})
    left = "".join(map(stream.feed, text)) + stream.finish()
    assert json.loads(left) == {"to": ["<EMAIL_2>", "<EMAIL_1>"], "n": 1}
