"""A request goes on as the model may see it, or is refused without a word of it."""

from __future__ import annotations

import traceback

import pytest

from consumers.guard.guards import GuardResult, Policy
from consumers.guard.pipeline import Pipeline, always
from consumers.guard.screen import Screen
from schemas.errors import BlockedError
from schemas.stage_records import Screened, Verdict
from tests.unit.consumers.guard.fakes import CANARY, NOW_MS, Told, authorized, broken, context, normaliser, spec

pytestmark = pytest.mark.anyio


async def test_a_request_goes_on_in_one_spelling() -> None:
    """The hop has the one before without its input, and adds what the guards learned."""
    request = authorized("Ｈｉ\u202e there")

    screened = await Screen(always(normaliser()))(request, context())

    assert screened == Screened(
        authorized=request.without_input(),
        text="Hi there",
        verdicts=(Verdict(guard="normalise", action="flag", score=1.0, evidence=((2, 3),), note="bidi controls"),),
        tainted=False,
        guard_ms=750,
        screened_at_ms=NOW_MS,
    )


async def test_a_screened_request_survives_the_wire() -> None:
    """Joiners and emoji are no trouble to JSON, and nothing is lost of a verdict."""
    screened = await Screen(always(normaliser()))(authorized("a\u200bb 👨\u200d👩\u200d👧"), context())
    assert Screened.model_validate_json(screened.model_dump_json()) == screened


async def test_a_blocked_request_names_the_guard_and_no_content() -> None:
    """The caller may know who refused; nobody else learns what was asked."""
    guards = Pipeline(input=[spec("quiet", Told()), spec("strict", Told(GuardResult("block", note="rule 7")))])

    with pytest.raises(BlockedError) as caught:
        await Screen(always(guards))(authorized(CANARY), context())

    assert caught.value.public_message == "the guard strict blocked the request"
    assert caught.value.detail == "strict: rule 7"


async def test_a_guard_that_fails_closed_leaks_nothing() -> None:
    """Its error quotes the content, and must not be chained to the refusal."""
    with pytest.raises(BlockedError) as caught:
        await Screen(always(Pipeline(input=[spec("g", broken)])))(authorized(CANARY), context())
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + caught.value.detail


async def test_what_needs_a_review_is_refused_where_nobody_can_be_asked() -> None:
    """A verdict that nobody acts on would be a pass."""
    guards = Pipeline(input=[spec("doubt", Told(GuardResult("review")))])

    with pytest.raises(BlockedError, match="the guard doubt requires a review"):
        await Screen(always(guards))(authorized("x"), context())

    screened = await Screen(always(guards), reviews=True)(authorized("x"), context())
    assert screened.verdicts == (Verdict(guard="doubt", action="review"),)


async def test_a_shadow_guard_refuses_nothing() -> None:
    """Its report goes on with the request."""
    guards = Pipeline(input=[spec("new", Told(GuardResult("block")), Policy(shadow=True))])
    screened = await Screen(always(guards))(authorized("x"), context())
    assert screened.verdicts == (Verdict(guard="new", note="shadow block"),)
