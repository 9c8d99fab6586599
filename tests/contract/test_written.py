"""What the producers write is what the AsyncAPI document describes."""

from __future__ import annotations

import json

import pytest

from producers.admissions import admission_record, serving_record
from producers.dead_letters import dead_letter_record
from producers.registry import registry_record
from producers.requests import request_record
from producers.results import error_of, result_record
from producers.stage_records import authorized_record, screened_record
from schemas import topics
from schemas.admissions import AdmissionKey, Identity
from schemas.dead_letters import DeadLetterReason
from schemas.errors import ForbiddenError, ModelOverloadedError
from schemas.records import HeaderList, Partition, ProducerRecord, Record
from schemas.requests import Request
from schemas.results import Result
from schemas.seals import Seals
from schemas.stage_records import Authorized, Origin, Screened
from schemas.tenants import Layout, Tenant
from streams.contracts import asyncapi
from streams.stages.record_builder import RecordBuilder
from streams.stages.retries import RetryTiers
from tests.contract.documents import Json, fits

DOCUMENT = asyncapi()
UNCORRELATED = {"request", "registryRecord"}
"""A client need not, and the registry is about no request."""


class StandingClock:
    def now_ms(self) -> int:
        return 1_700_000_000_005

    def monotonic(self) -> float:
        return 0.0


SEALS = Seals({"k1": b"s" * 32}, "cluster")
TRACE: HeaderList = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)
ADMISSION = AdmissionKey(key="acme|0", body="b", lane="l", request_id="r1", deadline_ms=1_700_000_300_000)
ORIGIN = Origin(topic=topics.REQUESTS.of("acme"), partition=2, offset=7, timestamp_ms=1_700_000_000_000, key=b"k")
HOP = Authorized(
    request=Request(agent="echo", input="hello", deadline=3),
    identity=Identity(tenant="acme", issuer="topic", subject="acme", source="/", id="r1"),
    run_id="run",
    admission=ADMISSION,
    origin=ORIGIN,
    reply_to=topics.RESULTS.of("acme"),
)
REASON = DeadLetterReason("malformed", "MalformedError", "the value is not JSON", "auth", "w1")
NOW = 1_700_000_000_005


def _result(result: Result) -> ProducerRecord:
    return result_record(
        result, tenant="acme", origin=ORIGIN, session=None, topic=HOP.reply_to, trace=TRACE, now_ms=NOW
    )


def _retry() -> ProducerRecord:
    tiers = RetryTiers(RecordBuilder("agent", "w1", SEALS, 24, StandingClock()))
    record = tiers.again(Screened(authorized=HOP, text="hello"), ModelOverloadedError(), TRACE)
    assert record is not None
    return record


WRITTEN: dict[str, tuple[ProducerRecord, ...]] = {
    "request": (
        request_record("acme", HOP.request, request_id="r1", now_ms=NOW),
        request_record("acme", HOP.request, request_id="r1", now_ms=NOW, reply_to=HOP.reply_to, trace=TRACE),
    ),
    "registryRecord": (
        registry_record(Tenant(id="acme"), trace=TRACE, now_ms=NOW),
        registry_record(Layout(), trace=TRACE, now_ms=NOW),
    ),
    "retry": (_retry(),),
    "authorized": (authorized_record(HOP, SEALS, TRACE),),
    "screened": (screened_record(Screened(authorized=HOP, text="hello"), SEALS, TRACE),),
    "result": (
        _result(Result(request_id="r1", run_id="run", agent="echo", status="succeeded", output={"a": [1, None]})),
        _result(
            Result(request_id="r1", run_id="run", agent="echo", status="refused", error=error_of(ForbiddenError()))
        ),
        _result(
            Result(
                request_id="r1",
                run_id="run",
                agent="echo",
                status="failed",
                error=error_of(ModelOverloadedError(retry_after=2)),
            )
        ),
    ),
    "admissionEvent": (
        admission_record("open", ADMISSION, shards=24, trace=TRACE, now_ms=NOW),
        serving_record("acme", Partition(ORIGIN.topic, 0), shards=24, trace=TRACE, now_ms=NOW),
    ),
    "deadLetter": (
        dead_letter_record(
            Record(ORIGIN.topic, 2, 7, 1, None, b"null", (("ce_id", b"\xff"),)), REASON, tenant="acme", trace=TRACE
        ),
    ),
}


def _misfits(document: Json, name: str, record: ProducerRecord) -> list[str]:
    message = document["components"]["messages"][name]
    headers = {key: (value or b"").decode() for key, value in record.headers}
    return [
        *fits(document, message["headers"], headers),
        *fits(document, message["payload"], json.loads(record.value or b"null")),
    ]


@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_producers_write_is_what_the_document_describes(name: str) -> None:
    """Headers and payload, down to their patterns."""
    for record in WRITTEN[name]:
        assert _misfits(DOCUMENT, name, record) == []
        assert len({key for key, _ in record.headers}) == len(record.headers)


@pytest.mark.parametrize("name", sorted(WRITTEN.keys() - UNCORRELATED))
def test_a_record_without_its_correlation_id_is_not_what_the_document_describes(name: str) -> None:
    """The comparison is seen to fail."""
    for record in WRITTEN[name]:
        kept = tuple(pair for pair in record.headers if pair[0] != "correlation_id")

        assert _misfits(DOCUMENT, name, record._replace(headers=kept)) != []


def test_every_header_of_a_reason_is_described() -> None:
    """An operator finds in the document what a dead letter says."""
    described = DOCUMENT["components"]["messages"]["deadLetter"]["headers"]["properties"]
    written = {name for name, _ in REASON.headers(Record(ORIGIN.topic, 2, 7, 1, None, b"", ()))}

    assert written <= set(described)
