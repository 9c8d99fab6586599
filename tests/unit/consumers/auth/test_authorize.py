"""Who may call what, until when, and where the answer goes."""

from __future__ import annotations

import pytest

from consumers.auth.authorize import Authorize, admission_key, deadline_of, identify
from consumers.context import StepContext
from schemas.envelopes import Sizes, open_envelope
from schemas.errors import (
    ExpiredError,
    ForbiddenError,
    HeadraceError,
    InternalError,
    UnauthenticatedError,
    UnknownAgentError,
)
from schemas.records import HeaderList, Record
from schemas.requests import Request
from schemas.stage_records import Authorized
from schemas.tenants import Limits, Tenant

pytestmark = pytest.mark.anyio

APPENDED = 1_700_000_000_000
LIMITS = Limits(default_deadline=60, max_deadline=600)
TENANT = Tenant(id="acme", agents=("echo",), limits=LIMITS, reply_topics=("acme-answers",))
STEP = Authorize(lambda: {"echo", "planner"})
HELLO = Request(agent="echo", input="hello")
ID: HeaderList = (("ce_id", b"r-1"),)


class Clock:
    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1_000


def context(
    *, tenant: Tenant = TENANT, headers: HeaderList = ID, key: bytes | None = None, now_ms: int = APPENDED + 250
) -> StepContext:
    """What the step gets beside a request with these headers and this key."""
    record = Record("tenants.acme.requests", 2, 7, APPENDED, key, b"{}", headers)
    envelope = open_envelope(record, Sizes(value=1_000, headers=1_000, header_count=9))
    return StepContext(tenant=tenant, clock=Clock(now_ms), envelope=envelope)


async def refused(request: Request, where: StepContext) -> HeadraceError:
    """Why the step says no."""
    with pytest.raises(HeadraceError) as caught:
        await STEP(request, where)
    return caught.value


async def test_a_permitted_request_goes_on_with_its_identity_and_deadline() -> None:
    """Everything that later stages need, so that none looks back at the client's record."""
    here = context(headers=(*ID, ("ce_source", b"/shop"), ("correlation_id", b"\x00\xff")), key=b"s-1")

    authorized = await STEP(HELLO, here)

    assert authorized.identity == identify(TENANT, here)
    assert (authorized.tenant, authorized.request_id) == ("acme", "r-1")
    assert authorized.identity.source == "/shop"
    assert authorized.run_id == authorized.identity.digest
    assert authorized.admission == admission_key(HELLO, here)
    assert authorized.deadline_ms == APPENDED + 60_000
    assert authorized.origin.correlation_id == b"\x00\xff"
    assert authorized.origin.key == b"s-1"
    assert authorized.reply_to == "tenants.acme.results"
    assert authorized.queued_ms == 250
    assert Authorized.model_validate_json(authorized.model_dump_json()) == authorized


async def test_the_subject_header_is_never_identity() -> None:
    """In topic mode the broker's access list is all that is proven."""
    plain, claimed = context(), context(headers=(*ID, ("ce_subject", b"admin")))

    assert identify(TENANT, claimed) == identify(TENANT, plain)
    assert identify(TENANT, claimed).subject == "acme"


async def test_an_agent_that_others_may_call_is_forbidden_and_one_that_nobody_may_is_unknown() -> None:
    """Two codes, for the client mends them in two ways."""
    assert type(await refused(Request(agent="planner", input=""), context())) is ForbiddenError
    assert type(await refused(Request(agent="nobody", input=""), context())) is UnknownAgentError


async def test_a_tenant_that_signs_is_refused_where_nobody_verifies() -> None:
    """Fail closed: an identity mode that is not understood proves nothing."""
    signed = TENANT.model_copy(update={"identity": "signed"})

    assert type(await refused(HELLO, context(tenant=signed))) is UnauthenticatedError


async def test_a_request_past_its_deadline_is_expired_at_the_very_millisecond() -> None:
    """Nothing further is paid for it."""
    late = context(now_ms=APPENDED + 60_000)

    assert type(await refused(HELLO, late)) is ExpiredError
    assert (await STEP(HELLO, context(now_ms=APPENDED + 59_999))).queued_ms == 59_999


@pytest.mark.parametrize(
    ("deadline", "expected_ms"),
    [
        (None, 60_000),
        (1.5, 1_500),
        (600, 600_000),
        (100_000, 600_000),
        ("2023-11-14T22:13:30Z", 10_000),
        ("2999-01-01T00:00:00+05:00", 600_000),
        ("9999-12-31T23:59:59-23:59", 600_000),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000 - APPENDED),
    ],
)
def test_a_deadline_counts_from_the_brokers_time_and_never_exceeds_the_tenants(
    deadline: object, expected_ms: int
) -> None:
    """The client's clock plays no part in it, and the ends of the calendar are no error."""
    request = Request.model_validate_json(
        HELLO.model_copy().model_dump_json().replace('"deadline":null', f'"deadline":{_json(deadline)}')
    )

    assert deadline_of(request, context()) == APPENDED + expected_ms


def _json(value: object) -> str:
    return "null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


async def test_a_reply_goes_only_where_the_tenants_record_lists() -> None:
    """A header that names any topic would be a way to write to any topic."""
    listed = context(headers=(*ID, ("reply_to", b"acme-answers")))
    own = context(headers=(*ID, ("reply_to", b"tenants.acme.results")))

    assert (await STEP(HELLO, listed)).reply_to == "acme-answers"
    assert (await STEP(HELLO, own)).reply_to == "tenants.acme.results"
    for elsewhere in (b"tenants.globex.results", b"platform.screened", b""):
        assert type(await refused(HELLO, context(headers=(*ID, ("reply_to", elsewhere))))) is ForbiddenError


async def test_a_reply_header_that_is_no_text_is_as_none() -> None:
    """NULL and binary headers are tolerated."""
    for odd in (None, b"\xff\xfe"):
        assert (await STEP(HELLO, context(headers=(*ID, ("reply_to", odd))))).reply_to == "tenants.acme.results"


def test_requests_of_one_session_share_a_lane_and_others_have_their_own() -> None:
    """Order is kept within a session of a subject, and costs nobody else anything."""
    in_session = HELLO.model_copy(update={"session": "s-1"})
    by_payload, by_key = admission_key(in_session, context()), admission_key(HELLO, context(key=b"s-1"))
    alone, keyed_by_id = admission_key(HELLO, context()), admission_key(HELLO, context(key=b"r-1"))

    assert by_payload.lane == by_key.lane == "session|acme|s-1"
    assert alone.lane == keyed_by_id.lane == f"request|{identify(TENANT, context()).digest}"
    assert {by_payload.key, by_key.key, alone.key} == {f"acme|{identify(TENANT, context()).digest}"}


def test_a_ticket_key_tells_sources_and_tenants_apart() -> None:
    """The idempotency key is the source and the id, within one tenant."""
    other = context(headers=(*ID, ("ce_source", b"/other")))
    globex = context(tenant=TENANT.model_copy(update={"id": "globex"}))

    assert len({admission_key(HELLO, each).key for each in (context(), other, globex)}) == 3


async def test_without_the_clients_record_it_says_so() -> None:
    """A step behind the door that asks for it is a mistake of ours."""
    with pytest.raises(InternalError):
        await STEP(HELLO, StepContext(tenant=TENANT, clock=Clock(0)))
