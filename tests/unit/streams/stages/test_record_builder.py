"""What a stage writes about one request."""

from __future__ import annotations

import pytest

from schemas.admissions import AdmissionEvent
from schemas.errors import (
    BlockedError,
    ForbiddenError,
    HeadraceError,
    IdConflictError,
    InternalError,
    MalformedError,
    ModelOverloadedError,
    ToolFailedError,
    UnwritableError,
)
from schemas.records import ProducerRecord, Record
from schemas.results import Result
from schemas.topics import EDGE_RECORD_LIMIT, INNER_LIMIT, RESULTS, shard_of
from streams.stages.record_builder import FOREIGN_LIMIT, check_sizes, failed_result
from streams.stages.reply_context import reply_context_of
from tests.unit.producers import samples
from tests.unit.producers.samples import TRACE
from tests.unit.streams.engine.shard_setup import NOW, SHARDS, StillClock, builder, header, on, the_result

OUTBOX = builder(StillClock(), "agent")
CASE = reply_context_of(samples.SCREENED)
RECORD = Record("platform.screened", 1, 3, NOW, b"acme|session|acme|s-1", b"{}", ())


def counted_as_buried(outputs: list[ProducerRecord]) -> list[bool]:
    """What the door counts against the tenant."""
    return [
        AdmissionEvent.model_validate_json(each.value or b"").dead_lettered
        for each in on(outputs, "platform.admissions")
    ]


def states(outputs: list[ProducerRecord]) -> list[str]:
    """What the door is told."""
    return [AdmissionEvent.model_validate_json(each.value or b"").state for each in on(outputs, "platform.admissions")]


def test_a_case_holds_what_an_answer_needs_from_either_hop() -> None:
    """Whichever stage answers, the caller sees the same of their request."""
    early, late = reply_context_of(samples.AUTHORIZED), CASE

    assert (early.tenant, early.request_id, early.run_id) == ("acme", "r-1", samples.IDENTITY.digest)
    assert (early.timing.queued_ms, early.timing.guard_ms, early.verdicts) == (5, 0, ())
    assert (late.timing.queued_ms, late.timing.guard_ms) == (5, 3)
    assert [each.model_dump() for each in late.verdicts] == [{"guard": "pii", "action": "redact", "stage": "input"}]
    assert (early.admission, early.origin, early.reply_to) == (late.admission, late.origin, "tenants.acme.results")


def test_values_go_to_the_topic_of_their_type() -> None:
    """What a stage cannot forward is an error of ours, and not a record on some topic."""
    (first,), (second,) = OUTBOX.forward(samples.AUTHORIZED, TRACE), OUTBOX.forward(samples.SCREENED, TRACE, 3)

    assert first.topic == "platform.authorized"
    assert (second.topic, second.partition) == ("platform.screened", 3)
    with pytest.raises(InternalError):
        OUTBOX.forward(samples.ADMISSION, TRACE)


def test_an_answer_closes_its_request_in_the_shard_of_its_tenant() -> None:
    """One transaction: the result, and the place that is free again."""
    result = failed_result(CASE, MalformedError())

    outputs = OUTBOX.answer(CASE, result, TRACE)

    assert the_result(outputs) == result
    assert states(outputs) == ["closed"]
    assert on(outputs, "platform.admissions")[0].partition == shard_of("acme", SHARDS)
    assert all(TRACE[0] in each.headers for each in outputs)


@pytest.mark.parametrize(
    ("error", "status", "letters"),
    [
        (MalformedError(), "failed", 1),
        (InternalError(), "failed", 1),
        (ModelOverloadedError(), "failed", 1),
        (ForbiddenError(), "refused", 0),
        (BlockedError(), "refused", 0),
    ],
)
def test_a_failure_is_told_closed_and_buried_where_its_class_says_so(
    error: HeadraceError, status: str, letters: int
) -> None:
    """A refusal is nobody's to repair."""
    outputs = OUTBOX.fail(CASE, error, RECORD, TRACE)

    result = the_result(outputs)
    assert (result.status, result.error and result.error.code) == (status, error.code)
    assert states(outputs) == ["closed"]
    assert len(on(outputs, "platform.dead-letters")) == letters
    assert counted_as_buried(outputs) == [letters == 1 and not isinstance(error, InternalError)]


def test_a_refusal_beside_the_first_request_closes_nothing() -> None:
    """The place belongs to the request that came first."""
    outputs = OUTBOX.refuse(CASE, IdConflictError(), RECORD, TRACE)

    assert the_result(outputs).status == "refused"
    assert states(outputs) == []


@pytest.mark.parametrize("refused", [True, False])
def test_what_cannot_be_told_is_buried(*, refused: bool) -> None:
    """A damaged record may bear a key as large as a topic takes; its job must end all the same."""
    reply_context = CASE._replace(origin=samples.ORIGIN.model_copy(update={"key": b"k" * EDGE_RECORD_LIMIT}))

    tell = OUTBOX.refuse if refused else OUTBOX.fail
    outputs = tell(reply_context, ForbiddenError(), RECORD, TRACE)

    assert on(outputs, RESULTS.of("acme")) == []
    assert len(on(outputs, "platform.dead-letters")) == 1
    assert states(outputs) == ([] if refused else ["closed"])


def test_an_error_of_a_tool_is_told_whatever_is_in_it() -> None:
    """A job that raises would end the worker, and the next one, and the next."""
    odd = ToolFailedError("\ud800", retry_after=float("inf"))

    assert the_result(OUTBOX.fail(CASE, odd, RECORD, TRACE)).status == "failed"


def test_a_letter_lies_under_its_tenant_where_that_is_proven() -> None:
    """By the topic or by the seal; else nobody may read it as theirs."""
    edge = RECORD._replace(topic="tenants.globex.requests")

    assert OUTBOX.dead_letter(RECORD, MalformedError(), TRACE).key == b"_unknown|platform.screened:1:3"
    assert OUTBOX.dead_letter(edge, MalformedError(), TRACE).key == b"globex|tenants.globex.requests:1:3"
    dead_letter = OUTBOX.dead_letter(RECORD, MalformedError("no"), TRACE, CASE._replace(attempt=2))
    assert dead_letter.key == b"acme|platform.screened:1:3"
    assert [header(dead_letter, f"headrace-{name}") for name in ("attempt", "stage", "worker", "error-message")] == [
        "2",
        "agent",
        "worker-1",
        "no",
    ]


@pytest.mark.parametrize(
    ("topic", "limit"),
    [
        ("tenants.acme.results", EDGE_RECORD_LIMIT),
        ("platform.screened", INNER_LIMIT),
        ("platform.admissions", INNER_LIMIT),
        ("acme-answers", FOREIGN_LIMIT),
    ],
)
def test_sizes_are_checked_to_the_byte_before_anything_is_written(topic: str, limit: int) -> None:
    """One record that its topic does not take would wedge its shard."""
    fits = ProducerRecord(topic, b"key", b"v" * (limit - 3 - 2 - 4), (("hh", b"1234"), ("", None)))
    check_sizes([fits, fits])

    with pytest.raises(UnwritableError):
        check_sizes([fits, fits._replace(key=b"keys")])


def test_a_result_that_is_too_large_is_not_answered_in_part() -> None:
    """The stage turns it into a failure that fits."""
    big = Result(request_id="r-1", run_id="r", agent="echo", status="succeeded", output="x" * EDGE_RECORD_LIMIT)

    with pytest.raises(UnwritableError):
        OUTBOX.answer(CASE, big, TRACE)
