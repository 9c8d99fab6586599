"""The configuration of the secrets guard, and its action at each stage."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from consumers.guard.content import Content
from consumers.guard.guards import GuardResult
from consumers.guard.registry import GuardConfigError, GuardRegistry
from consumers.guard.secrets.guard import SECRETS, SecretsConfig
from consumers.guard.secrets.task import OWN_RULES, find_secrets
from consumers.guard.text_threads import text_thread
from schemas.guards import GuardSettings, GuardStage, TenantGuards
from tests.unit.consumers.guard.fakes import context

pytestmark = pytest.mark.anyio

TOKEN = "gh" + "p_" + "a1B2c3D4e5F6" * 3
BADGE = {"kind": "acme_badge", "pattern": "ACME-([0-9]{6})"}


async def _judged(text: str, stage: GuardStage = "input", **config: object) -> GuardResult:
    guard = SECRETS.make(SecretsConfig.model_validate(config), stage, text_thread)
    return await guard(Content(text), context())


@pytest.mark.parametrize("stage", ["input", "output"])
async def test_a_secret_is_replaced_by_its_kind(stage: GuardStage) -> None:
    """The model and the user still read the rest."""
    result = await _judged(f"Use {TOKEN} now.", stage)
    assert (result.action, result.text) == ("redact", "Use [secret removed: github_token] now.")
    assert (result.note, result.evidence) == ("github_token", ((4, 4 + len(TOKEN)),))


async def test_a_call_with_a_secret_is_blocked() -> None:
    """A tool would run with the replacing words as its argument."""
    assert (await _judged(f'{{"token": "{TOKEN}"}}', "tool")).action == "block"


@pytest.mark.parametrize("action", ["flag", "redact", "block"])
@pytest.mark.parametrize("stage", get_args(GuardStage))
async def test_the_action_can_be_chosen_for_each_stage(stage: GuardStage, action: str) -> None:
    """An operator who only wants a report has one."""
    result = await _judged(TOKEN, stage, action=action)
    assert result.action == action
    assert (result.text is not None) == (action == "redact")


async def test_a_kind_can_be_switched_off() -> None:
    """A tenant may handle one kind by design."""
    assert (await _judged(f"Use {TOKEN} now.", off=["github_token"])).action == "pass"


async def test_rules_of_the_operator_are_added() -> None:
    """A company has credentials of its own format."""
    result = await _judged(f"badge ACME-123456, {TOKEN}", rules=[BADGE])
    assert result.text == "badge ACME-[secret removed: acme_badge], [secret removed: github_token]"


async def test_base64_of_a_secret_is_removed_as_a_whole() -> None:
    """A part of an encoded secret cannot be replaced within its encoding."""
    result = await _judged("see VXNlIEFDTUUtMTIzNDU2IG5vdw== here", rules=[BADGE])
    assert result.text == "see [secret removed: acme_badge] here"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a*",
        "(",
        "a(?=b)",
        r"(a)\1",
        "(a)(b)",
        "a{2000}",
        "é",
        "x" * 1_001,
        r"\p{Greek}a",
        "(?s:a)",
        "a|",
        "[[:foo:]]a",
    ],
)
def test_a_pattern_that_cannot_be_a_rule_is_refused(pattern: str) -> None:
    """It would match everything, never, or take more than linear time."""
    with pytest.raises(ValidationError):
        SecretsConfig.model_validate({"rules": [{"kind": "own", "pattern": pattern}]})


def test_unknown_kinds_and_names_are_refused() -> None:
    """A kind with a typing error would stay switched on."""
    for config in (
        {"off": ["github"]},
        {"rules": [{"kind": "A b", "pattern": "abc"}]},
        {"rules": [BADGE] * (OWN_RULES + 1)},
    ):
        with pytest.raises(ValidationError):
            SecretsConfig.model_validate(config)


def test_a_tenants_record_with_a_bad_rule_is_refused() -> None:
    """The record is refused, instead of each of the tenant's requests."""
    settings = GuardSettings(config={"rules": [{"kind": "own", "pattern": "(?:[a-z]{1,500}x){1,2}"}]})
    with pytest.raises(GuardConfigError, match="instructions"):
        GuardRegistry().pipeline(TenantGuards(input={"secrets": settings}))


def test_the_note_never_quotes_the_secret() -> None:
    """Verdicts are sent and logged."""
    assert TOKEN[8:] not in repr(find_secrets(f"Use {TOKEN} now.", "")._replace(text=None))
