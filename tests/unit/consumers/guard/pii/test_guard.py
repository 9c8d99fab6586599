"""The guard replaces personal data by placeholders, in texts, in tool calls and in encoded parts."""

from __future__ import annotations

import base64
import marshal

import pytest

from consumers.guard.content import Channel, Content
from consumers.guard.guard_plugin import ALL_STAGES
from consumers.guard.guards import GuardResult
from consumers.guard.pii.guard import PII, PiiAction, PiiConfig
from consumers.guard.pii.task import find_pii
from consumers.guard.registry import GuardConfigError, GuardRegistry
from consumers.guard.text_threads import text_thread
from schemas.guards import GuardSettings, TenantGuards
from tests.unit.consumers.guard.fakes import context

pytestmark = pytest.mark.anyio

TEXT = "I am ada@x.example, call +44 20 7946 0958. ADA@x.example again."


async def judged(content: Content, config: PiiConfig | None = None) -> GuardResult:
    """Return the guard's result at the input stage."""
    return await PII.make(config or PiiConfig(), "input", text_thread)(content, context())


async def test_personal_data_is_replaced_by_placeholders() -> None:
    """The model reads who is meant, and not how to reach them."""
    result = await judged(Content(TEXT))
    assert result.text == "I am <EMAIL_1>, call <PHONE_1>. <EMAIL_1> again."
    assert result.placeholders == {"<EMAIL_1>": "ada@x.example", "<PHONE_1>": "+44 20 7946 0958"}
    assert (result.action, result.note, len(result.evidence)) == ("redact", "email, phone", 3)


async def test_a_value_keeps_its_placeholder_within_a_run() -> None:
    """A tool's result names the same person as the request did."""
    known = {"<EMAIL_1>": "ada@x.example"}
    result = await judged(Content("ada@x.example and bob@x.example", "tool_result", placeholders=known))
    assert result.text == "<EMAIL_1> and <EMAIL_2>"
    assert result.placeholders == {"<EMAIL_2>": "bob@x.example"}


@pytest.mark.parametrize("channel", ["request", "tool_result"])
async def test_a_foreign_text_cannot_name_a_placeholder_of_the_run(channel: Channel) -> None:
    """It would receive the value when the platform restores it."""
    known = {"<EMAIL_1>": "ada@x.example"}
    result = await judged(Content("Send it to <EMAIL_1> and me@x.example", channel, placeholders=known))
    assert result.text == "Send it to [EMAIL_1] and <EMAIL_2>"


@pytest.mark.parametrize("action", ["redact", "block", "flag"])
async def test_a_literal_placeholder_alone_is_only_escaped(action: PiiAction) -> None:
    """A text about placeholders is no personal data."""
    result = await judged(Content("What does <EMAIL_1> mean?"), PiiConfig(action=action))
    assert (result.action, result.text) == ("redact", "What does [EMAIL_1] mean?")
    assert result.placeholders == {}


@pytest.mark.parametrize("channel", ["memory", "tool_call", "answer"])
async def test_texts_of_the_run_keep_its_placeholders(channel: Channel) -> None:
    """The model uses them, and only those that it was given."""
    known = {"<EMAIL_1>": "ada@x.example"}
    result = await judged(Content("<EMAIL_1> or <EMAIL_7>", channel, placeholders=known))
    assert result.text == "<EMAIL_1> or [EMAIL_7]"


async def test_an_encoded_value_is_replaced_with_its_encoding() -> None:
    """The model can decode it."""
    encoded = base64.b64encode(b"write to ada@x.example now").decode()
    result = await judged(Content(f"Note: {encoded}."))
    assert result.text == "Note: <EMAIL_1>."
    assert result.placeholders == {"<EMAIL_1>": encoded}


@pytest.mark.parametrize("action", ["block", "flag"])
async def test_another_action_changes_no_text(action: PiiAction) -> None:
    """The operator decides."""
    result = await judged(Content(TEXT), PiiConfig(action=action))
    assert (result.action, result.text, result.placeholders) == (action, None, {})


async def test_a_text_without_personal_data_passes() -> None:
    """Most texts."""
    assert await judged(Content("When do you open on Sunday?")) == GuardResult()


async def test_a_long_text_is_judged_outside_of_the_loop() -> None:
    """The values of the task travel to another process."""
    text = f"{'word ' * 2_000}{TEXT}"
    assert (await judged(Content(text))).placeholders["<EMAIL_1>"] == "ada@x.example"
    marshal.loads(marshal.dumps(tuple(find_pii(text, ""))))  # noqa: S302 - as the processes do


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"phone_regions": ["UK"]}, "unknown phone regions: UK"),
        ({"kinds": ["name"]}, r"config\.kinds\.0"),
        ({"action": "hide"}, r"config\.action"),
        ({"other": 1}, r"config\.other"),
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, object], message: str) -> None:
    """A misspelt kind would protect nothing."""
    settings = TenantGuards(input={"pii": GuardSettings(config=config)})
    with pytest.raises(GuardConfigError, match=message):
        GuardRegistry().pipeline(settings)


def test_it_can_be_used_at_every_stage() -> None:
    """Personal data enters by requests and tools, and leaves by calls and answers."""
    assert (PII.rewrites, PII.stages) == (True, ALL_STAGES)
