"""How a record ended, by what was written of it."""

from __future__ import annotations

import pytest

from schemas import topics
from schemas.records import Outgoing, Partition
from streams.carrying import Carry
from streams.offsetmap import OffsetSet
from streams.outcomes import counted, outcome, outcome_of
from streams.tracker import Finished, Step, Tracker
from streams.transport.errors import BrokerError, FencedError, UnknownTopicError

INBOX = Outgoing(topics.INBOX.name, b"k", b"v")
LETTER = Outgoing(topics.DEAD_LETTERS.name, b"k", b"v")
RESULT = Outgoing(topics.RESULTS.of("acme"), b"k", b"v")
FORWARD = Outgoing(topics.SCREENED.name, b"k", b"v")
RETRY = Outgoing(topics.RETRY_TIERS[0][1].name, b"k", b"v")


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([], "joined"),
        ([RESULT, INBOX], "answered"),
        ([INBOX, RESULT], "answered"),
        ([FORWARD, INBOX], "forwarded"),
        ([RETRY], "retried"),
        ([RESULT, INBOX, LETTER], "buried"),
    ],
)
def test_a_record_ends_in_one_way(outputs: list[Outgoing], said: str) -> None:
    """The door's own record beside it says nothing about it (I10)."""
    assert outcome(outputs) == said


def test_each_record_of_a_transaction_is_counted_once() -> None:
    """Many have one output, and are told apart by its topic alone; a run that is carried has not ended."""
    tracker = Tracker(Partition("in", 0))
    outputs = [[RESULT], [RESULT, INBOX], [RETRY], [LETTER], [RESULT, LETTER], [INBOX], [], [FORWARD], [RESULT]]
    batch = [Finished(offset, each) for offset, each in enumerate(outputs)]
    moved = Finished(9, [FORWARD], move=Carry(tracker, 9, 9))

    assert counted([Step(tracker, batch, set(), 0, OffsetSet()), Step(tracker, [moved], set(), 0, OffsetSet())]) == {
        "answered": 3,
        "retried": 1,
        "buried": 2,
        "joined": 2,
        "forwarded": 1,
    }


def test_a_transaction_ends_in_one_way() -> None:
    """Fenced is the group's business, refused is somebody's mistake, the rest is the network's."""
    errors = (FencedError(), TimeoutError(), UnknownTopicError("t"), BrokerError())

    assert [outcome_of(error) for error in errors] == ["fenced", "timeout", "refused", "failed"]
