"""Nonsense from a guard is a failure of the guard, and its policy decides the consequence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from consumers.guard.content import Content
from consumers.guard.guard_contract import GuardContractError, check_plugin
from consumers.guard.guard_plugin import NoConfig, plugin_of
from consumers.guard.guards import GuardResult, Policy
from consumers.guard.pipeline import Pipeline
from consumers.guard.text_tasks import SIZE_LIMIT
from schemas.models import Payload
from tests.unit.consumers.guard.fakes import CANARY, Told, context, spec

pytestmark = pytest.mark.anyio

odd: Any = GuardResult  # results that a type checker would refuse

NONSENSE: list[tuple[Any, str]] = [
    (None, "it returned no GuardResult"),
    ("block", "it returned no GuardResult"),
    (odd("allow"), "it returned an unknown action"),
    (odd("flag", score=math.nan), "its score is no number"),
    (odd("flag", score="high"), "its score is no number"),
    (odd("flag", score=True), "its score is no number"),
    (GuardResult("flag", score=1.5), "its score is not between 0 and 1"),
    (GuardResult("flag", score=-0.1), "its score is not between 0 and 1"),
    (GuardResult("flag", evidence=((0, 99),)), "its evidence is outside of the text"),
    (GuardResult("flag", evidence=((3, 1),)), "its evidence is outside of the text"),
    (odd("flag", evidence=((0, 1, 2),)), "its evidence is no tuple of spans"),
    (odd("flag", evidence=[(0, 1)]), "its evidence is no tuple of spans"),
    (odd("flag", evidence=((0.0, 1.0),)), "its evidence is no tuple of spans"),
    (odd("flag", note=7), "its note is no text"),
    (odd("redact", text=b"x"), "its text is no text"),
    (odd("redact", text="x", hidden=None), "its text is no text"),
    (GuardResult("redact", text="x" * (SIZE_LIMIT + 1)), "its text is longer than any topic takes"),
    (odd("redact", text="x", placeholders=["<A>"]), "its placeholders are no mapping"),
    (odd("redact", text="x", placeholders={"<A>": 1}), "its placeholders are no texts"),
    (GuardResult("redact"), "it returned a redaction without a text"),
]


@pytest.mark.parametrize(("says", "reason"), NONSENSE)
@pytest.mark.parametrize(("failure", "action"), [("closed", "block"), ("open", "flag")])
async def test_nonsense_counts_as_a_failure(says: Any, reason: str, failure: Any, action: str) -> None:  # noqa: ANN401 - nonsense
    """The verdict names the fault in fixed wording, and the content goes on unchanged or not at all."""
    guards = Pipeline(input=[spec("g", Told(says), Policy(failure=failure), rewrites=True)])
    outcome = await guards.input(Content(CANARY), context())

    assert [(each.action, each.note) for each in outcome.verdicts] == [(action, f"failed: {reason}")]
    assert outcome.content.text == CANARY


async def test_a_detector_must_not_give_a_text() -> None:
    """Other detectors have judged the text as it is."""
    outcome = await Pipeline(input=[spec("g", Told(GuardResult(text="y")))]).input(Content("x"), context())
    assert outcome.verdicts[0].note == "failed: it is a detector, and returned another text"


class Loose(BaseModel):
    pass


class Tolerant(Payload, extra="ignore"):
    pass


class Needy(Payload):
    key: str


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": Loose}, "its config is no subclass of Payload"),
        ({"config": Tolerant}, "its config accepts unknown fields"),
        ({"config": Needy}, "its config has fields without a default: key"),
        ({"make": None}, "its `make` is no function"),
        ({"stages": frozenset({"inputs"})}, "its stages are not among input, output, tool"),
        ({"stages": frozenset()}, "its stages are not among"),
        ({"policy": None}, "its policy is no Policy"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_refused(changes: dict[str, Any], message: str) -> None:
    """At its load, where its author reads the line."""
    with pytest.raises(GuardContractError, match=message):
        check_plugin(replace(plugin_of("g", Told()), **changes))


def test_a_function_is_a_plugin_for_every_stage() -> None:
    """The shortest guard is one async function."""
    guard = Told()
    plugin = plugin_of("g", guard)
    check_plugin(plugin)
    assert plugin.make(NoConfig(), "tool", None) is guard  # type: ignore[arg-type]
