"""How a record ended, by what was written of it."""

from __future__ import annotations

import pytest

from schemas import topics
from schemas.records import Partition, ProducerRecord
from streams.offsets.offset_map import OffsetSet
from streams.offsets.relocation import Relocation
from streams.offsets.tracker import CommitStep, Completion, Tracker
from streams.telemetry.outcomes import counted, outcome, outcome_of
from streams.transport.errors import BrokerError, FencedError, UnknownTopicError

INBOX = ProducerRecord(topics.ADMISSIONS.name, b"k", b"v")
LETTER = ProducerRecord(topics.DEAD_LETTERS.name, b"k", b"v")
RESULT = ProducerRecord(topics.RESULTS.of("acme"), b"k", b"v")
FORWARD = ProducerRecord(topics.SCREENED.name, b"k", b"v")
RETRY = ProducerRecord(topics.RETRY_TIERS[0][1].name, b"k", b"v")


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([], "joined"),
        ([RESULT, INBOX], "answered"),
        ([INBOX, RESULT], "answered"),
        ([FORWARD, INBOX], "forwarded"),
        ([RETRY], "retried"),
        ([RESULT, INBOX, LETTER], "dead_lettered"),
    ],
)
def test_a_record_ends_in_one_way(outputs: list[ProducerRecord], said: str) -> None:
    """The door's own record beside it says nothing about it (I10)."""
    assert outcome(outputs) == said


def test_each_record_of_a_transaction_is_counted_once() -> None:
    """Many have one output, and are told apart by its topic alone; a run that is carried has not ended."""
    tracker = Tracker(Partition("in", 0))
    outputs = [[RESULT], [RESULT, INBOX], [RETRY], [LETTER], [RESULT, LETTER], [INBOX], [], [FORWARD], [RESULT]]
    batch = [Completion(offset, each) for offset, each in enumerate(outputs)]
    moved = Completion(9, [FORWARD], move=Relocation(tracker, 9, 9))

    assert counted(
        [CommitStep(tracker, batch, set(), 0, OffsetSet()), CommitStep(tracker, [moved], set(), 0, OffsetSet())]
    ) == {
        "answered": 3,
        "retried": 1,
        "dead_lettered": 2,
        "joined": 2,
        "forwarded": 1,
    }


def test_a_transaction_ends_in_one_way() -> None:
    """Fenced is the group's business, refused is somebody's mistake, the rest is the network's."""
    errors = (FencedError(), TimeoutError(), UnknownTopicError("t"), BrokerError())

    assert [outcome_of(error) for error in errors] == ["fenced", "timeout", "refused", "failed"]
