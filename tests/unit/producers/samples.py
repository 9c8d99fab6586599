"""One request on its way, for the tests of this folder."""

from __future__ import annotations

from schemas.admissions import AdmissionKey, Identity, request_key
from schemas.records import HeaderList, ProducerRecord
from schemas.requests import Request
from schemas.stage_records import Authorized, Origin, Screened, Verdict

NOW = 1_700_000_000_000
TRACE: HeaderList = (("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),)
IDENTITY = Identity(tenant="acme", issuer="topic", subject="acme", source="/", id="r-1")
ADMISSION = AdmissionKey(
    key=request_key(IDENTITY), body="b0d1", lane="session|acme|s-1", request_id="r-1", deadline_ms=NOW + 120_000
)
ORIGIN = Origin(
    topic="tenants.acme.requests",
    partition=2,
    offset=7,
    timestamp_ms=NOW,
    key=b"s-1",
    correlation_id=b"\x00\xff" * 8,
    correlation_header="kafka_correlationId",
)
AUTHORIZED = Authorized(
    request=Request(agent="echo", input="hello", session="s-1"),
    identity=IDENTITY,
    run_id=IDENTITY.digest,
    admission=ADMISSION,
    origin=ORIGIN,
    reply_to="tenants.acme.results",
    queued_ms=5,
    authorized_at_ms=NOW,
)
SCREENED = Screened(authorized=AUTHORIZED, text="hello", verdicts=(Verdict(guard="pii", action="redact"),), guard_ms=3)


def texts(output: ProducerRecord) -> dict[str, str]:
    """Headers by name, those that are text."""
    return {name: value.decode() for name, value in output.headers if value is not None and value.isascii()}
