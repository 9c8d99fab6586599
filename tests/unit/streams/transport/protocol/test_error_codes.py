"""Which error of a broker passes, whose fault it is, and what it is called here."""

from __future__ import annotations

import pytest

from schemas.records import Partition, ProducerRecord
from streams.transport.errors import AccessDeniedError, BrokerError, FencedError, RecordRefusedError
from streams.transport.protocol.error_codes import LEADERLESS, PASSING, UNWRITTEN, fault, pass_by, refusal
from streams.transport.protocol.record_batches import RecordBatch

PLACE = Partition("out", 0)


def batch_of(records: int) -> RecordBatch:
    """With so many records."""
    batch = RecordBatch(PLACE)
    for _ in range(records):
        batch.add(ProducerRecord("out", b"key", b"value"), 0)
    return batch


@pytest.mark.parametrize("code", [47, 90])
def test_both_words_for_an_epoch_that_has_ended_mean_fenced(code: int) -> None:
    """INVALID_PRODUCER_EPOCH, and PRODUCER_FENCED, which aiokafka does not know."""
    assert isinstance(fault(code), FencedError)
    assert isinstance(refusal(code, batch_of(1)), FencedError)


def test_a_forbidden_id_or_group_is_access_denied() -> None:
    """TRANSACTIONAL_ID_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED."""
    assert isinstance(fault(53, "an-id"), AccessDeniedError)
    assert isinstance(fault(30, "a-group"), AccessDeniedError)


@pytest.mark.parametrize("code", [48, 49, 45, 59, 120])
def test_a_transaction_that_is_lost_is_no_fault_of_its_records(code: int) -> None:
    """INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING, OUT_OF_ORDER, UNKNOWN_PRODUCER_ID, TRANSACTION_ABORTABLE."""
    error = refusal(code, batch_of(1))
    assert type(error) is BrokerError
    assert code not in UNWRITTEN


@pytest.mark.parametrize("code", [10, 18, 32])
def test_a_record_that_is_too_large_is_refused_by_its_size(code: int) -> None:
    """If it was alone: else nobody knows which it was."""
    alone, several = refusal(code, batch_of(1)), refusal(code, batch_of(2))
    assert isinstance(alone, RecordRefusedError)
    assert isinstance(several, RecordRefusedError)
    assert (alone.topic, alone.records, alone.size, alone.record) == ("out", 1, 8, None)
    assert (several.topic, several.records, several.size, several.record) == ("out", 2, 0, None)


@pytest.mark.parametrize("code", [87, -1])
def test_a_record_that_is_refused_for_itself_is_named(code: int) -> None:
    """INVALID_RECORD, and what a broker cannot say."""
    alone, several = refusal(code, batch_of(1)), refusal(code, batch_of(2))
    assert isinstance(alone, RecordRefusedError)
    assert isinstance(several, RecordRefusedError)
    assert alone.record == ProducerRecord("out", b"key", b"value")
    assert (several.records, several.record) == (2, None)


def test_a_forbidden_topic_takes_nothing_at_all() -> None:
    """TOPIC_AUTHORIZATION_FAILED: no size is small enough."""
    error = refusal(29, batch_of(1))
    assert isinstance(error, RecordRefusedError)
    assert (error.topic, error.size, error.record) == ("out", 0, None)


def test_what_passes_is_asked_for_again_unless_something_else_does_not() -> None:
    """Of several answers in one."""
    assert pass_by(frozenset({0, 51}))
    assert pass_by(frozenset({3, 55}))
    assert not pass_by(frozenset({0}))
    assert not pass_by(frozenset({29, 55}))
    assert not pass_by(frozenset({51, 47}))


def test_a_batch_waits_for_its_leader_and_for_copies_in_step() -> None:
    """NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS before and after, CONCURRENT_TRANSACTIONS; not for its refusal."""
    assert {6, 19, 20, 51} <= UNWRITTEN
    assert LEADERLESS <= UNWRITTEN
    assert PASSING <= UNWRITTEN
    assert not UNWRITTEN & {0, 10, 29, 45, 46, 47, 48, 87, 90, 120}
