"""How a record ended, by what was written of it."""

from __future__ import annotations

import pytest

from schemas import topics
from schemas.records import Outgoing
from streams.outcomes import outcome, outcome_of
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


def test_a_transaction_ends_in_one_way() -> None:
    """Fenced is the group's business, refused is somebody's mistake, the rest is the network's."""
    errors = (FencedError(), TimeoutError(), UnknownTopicError("t"), BrokerError())

    assert [outcome_of(error) for error in errors] == ["fenced", "timeout", "refused", "failed"]
