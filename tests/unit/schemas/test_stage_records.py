"""A hop contains the one before."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.admissions import AdmissionKey, Identity
from schemas.requests import Request
from schemas.stage_records import Authorized, Origin, Screened, Verdict

AUTHORIZED = Authorized(
    request=Request(agent="echo", input="hello", session="s", deadline=3),
    identity=Identity(tenant="acme", issuer="topic", subject="acme", source="/", id="r1"),
    run_id="run",
    admission=AdmissionKey(key="acme|0", body="b", lane="l", request_id="r1", deadline_ms=1_700_000_003_000),
    origin=Origin(
        topic="tenants.acme.requests", partition=2, offset=7, timestamp_ms=1_700_000_000_000, key=b"\xff\x00"
    ),
    reply_to="tenants.acme.results",
)


def test_a_screened_request_survives_the_wire_with_all_it_contains() -> None:
    """The agent worker knows nothing but this."""
    verdict = Verdict(guard="pii", action="redact", score=0.9, evidence=((0, 5),))
    hop = Screened(authorized=AUTHORIZED, text="<NAME_1>", verdicts=(verdict,), tainted=True, attempt=2)

    assert Screened.model_validate_json(hop.model_dump_json()) == hop


def test_a_hop_says_whose_it_is() -> None:
    """Every step asks for these."""
    assert (AUTHORIZED.tenant, AUTHORIZED.request_id, AUTHORIZED.deadline_ms) == ("acme", "r1", 1_700_000_003_000)
    assert AUTHORIZED.origin.position == "tenants.acme.requests:2:7"


def test_a_hop_with_a_field_that_nobody_knows_is_refused() -> None:
    """It was not written by the stage before."""
    with pytest.raises(ValidationError, match="extra"):
        Screened.model_validate({"authorized": AUTHORIZED, "text": "", "approved": True})
