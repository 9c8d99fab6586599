"""The toxicity guard acts on the operator's model, and does not start without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.guard.content import Content
from consumers.guard.registry import GuardConfigError, GuardRegistry
from consumers.guard.text_threads import text_thread
from consumers.guard.toxicity.guard import TOXICITY, ToxicityConfig, toxicity_plugin
from schemas.errors import GuardUnavailableError
from schemas.guards import GuardSettings, TenantGuards
from tests.unit.consumers.guard.fakes import context
from tests.unit.consumers.guard.injection.onnx_model import write_model

pytestmark = pytest.mark.anyio


async def test_a_model_decides(tmp_path: Path) -> None:
    """Its score is compared with the thresholds."""
    write_model(tmp_path)
    config = ToxicityConfig.model_validate({"model": {"directory": str(tmp_path)}})
    guard = TOXICITY.make(config, "output", text_thread)

    assert (await guard(Content("plain"), context())).action == "pass"
    assert (await guard(Content("\u4e2d"), context())).action == "block"


async def test_the_judge_decides() -> None:
    """Its yes is a score of 1."""

    async def ask(_prompt: str) -> str:
        return '{"found": true}'

    guard = toxicity_plugin(ask).make(ToxicityConfig(judge=True), "input", text_thread)

    assert (await guard(Content("text"), context())).action == "block"


async def test_a_judge_without_an_answer_is_a_failure() -> None:
    """There is no other detector whose verdict could stay: the guard's policy decides."""

    async def ask(_prompt: str) -> str:
        return "no idea"

    guard = toxicity_plugin(ask).make(ToxicityConfig(judge=True), "input", text_thread)

    with pytest.raises(GuardUnavailableError):
        await guard(Content("text"), context())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "toxicity needs a model of yours"),
        ({"judge": True}, "none is configured for the judge"),
        ({"model": {"directory": "/nowhere"}}, "does not exist"),
    ],
)
def test_a_guard_without_a_model_does_not_start(config: dict[str, object], message: str) -> None:
    """A word list is no toxicity score, so there is no default; the error is one line."""
    guards = TenantGuards(input={"toxicity": GuardSettings(config=config)})

    with pytest.raises(GuardConfigError, match=message) as raised:
        GuardRegistry().pipeline(guards)

    assert "\n" not in str(raised.value)
