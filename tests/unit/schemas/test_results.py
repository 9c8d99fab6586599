"""What a client reads."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from pydantic import ValidationError

from schemas.errors import Status
from schemas.results import ErrorInfo, Result, Timing, Usage, VerdictInfo

NAMES = {"request_id": "r1", "run_id": "run", "agent": "echo"}
DONE = Result(request_id="r1", run_id="run", agent="echo", status="succeeded")


@pytest.mark.parametrize("status", get_args(Status))
def test_a_result_of_each_status_survives_the_wire(status: Status) -> None:
    """As it is written: without what is None."""
    result = Result(
        request_id="r1",
        run_id="run",
        agent="echo",
        status=status,
        output={"answer": [1, None, "ü"]},
        error=ErrorInfo(code="blocked", message="no", retry_after=1.5),
        degraded="small model",
        usage=Usage(input_tokens=1, cost_usd=0.1),
        timing=Timing(agent_ms=5),
        handoffs=("a", "b"),
        verdicts=(VerdictInfo(guard="pii", action="redact"),),
    )

    assert Result.model_validate_json(result.model_dump_json(exclude_none=True)) == result


def test_none_within_an_output_is_written() -> None:
    """Leaving out what is None ends at the output: that is the agent's own."""
    result = DONE.model_copy(update={"output": {"a": None}})

    written = json.loads(result.model_dump_json(exclude_none=True))

    assert written["output"] == {"a": None}
    assert "error" not in written


def test_an_unknown_field_is_refused() -> None:
    """A misspelt one is never dropped in silence."""
    with pytest.raises(ValidationError, match="ouput"):
        Result.model_validate({**NAMES, "status": "succeeded", "ouput": "x"})


def test_an_unknown_status_is_refused() -> None:
    """Clients switch on it."""
    with pytest.raises(ValidationError, match="status"):
        Result.model_validate({**NAMES, "status": "done"})


@pytest.mark.parametrize("cost", [-0.1, float("inf"), float("nan")])
def test_a_cost_is_a_number_one_can_add(cost: float) -> None:
    """The ledger sums it."""
    with pytest.raises(ValidationError):
        Usage(cost_usd=cost)


def test_a_result_cannot_be_changed() -> None:
    """It goes through several hands before it is written."""
    with pytest.raises(ValidationError, match="frozen"):
        DONE.status = "failed"  # type: ignore[misc]
