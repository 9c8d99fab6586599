"""What a worker believes of the topics that it writes to."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from schemas.records import Outgoing
from streams.outlets import APART_S, REFUSED_S, SURE_S, Outlets
from streams.transport.errors import KafkaUnreachableError, RecordRefusedError
from streams.transport.standings import Standing
from tests.unit.streams.bench import StillClock

pytestmark = pytest.mark.anyio

HERE, GONE = Outgoing("here", b"k", b"0123456789"), Outgoing("gone", b"k", b"v")


class Broker:
    """Knows one topic of two partitions, and counts what it is asked."""

    def __init__(self) -> None:
        self.clock, self.asked, self.silent = StillClock(), list[str](), False
        self.starved = frozenset[int]()
        self.outlets = Outlets(self.ask, self.clock)

    async def ask(self, topics: Collection[str]) -> dict[str, Standing]:
        self.asked += topics
        if self.silent:
            raise KafkaUnreachableError("nowhere")
        return {topic: Standing(2, self.starved) if topic == "here" else Standing(0) for topic in topics}

    def later(self, seconds: float) -> None:
        self.clock.at_ms += int(seconds * 1_000) + 1


async def test_a_topic_is_missing_only_if_it_still_is_a_while_later() -> None:
    """Brokers hear of a new topic one after another; and nobody is asked in a storm."""
    broker = Broker()
    outlets = broker.outlets
    await outlets.learn(["here", "gone"])
    await outlets.learn(["here", "gone"])

    assert broker.asked == ["here", "gone"]
    assert outlets.clear([HERE])
    assert not outlets.clear([HERE, GONE])
    assert outlets.fault(GONE) == "unsure"
    broker.later(SURE_S)
    await outlets.learn(["here", "gone"])
    assert broker.asked == ["here", "gone", "gone"]
    assert outlets.fault(GONE) == "closed"


async def test_a_partition_that_does_not_exist_is_closed() -> None:
    """Whatever the topic has beside it."""
    broker = Broker()
    await broker.outlets.learn(["here"])

    assert broker.outlets.fault(HERE._replace(partition=1)) is None
    assert broker.outlets.fault(HERE._replace(partition=2)) == "closed"


async def test_what_nobody_answers_counts_as_there() -> None:
    """A broker that is down must not turn results into dead letters."""
    broker = Broker()
    broker.silent = True
    await broker.outlets.learn(["gone"])

    assert broker.outlets.clear([GONE])


async def test_a_refusal_is_believed_for_a_while_and_for_records_of_its_size() -> None:
    """Smaller ones may pass; later it is put to the test again, for a limit may have been raised."""
    broker = Broker()
    outlets = broker.outlets
    await outlets.learn(["here"])
    outlets.refuse(RecordRefusedError("too large", topic="here", records=3))
    assert (outlets.stands_apart("here"), outlets.fault(HERE)) == (True, None)

    outlets.refuse(RecordRefusedError("too large", topic="here", size=HERE.size))

    assert not outlets.clear([HERE])
    assert outlets.fault(HERE) == "too_large"
    assert outlets.fault(HERE._replace(value=b"012345678")) is None
    broker.later(REFUSED_S)
    assert outlets.fault(HERE) is None
    outlets.refuse(RecordRefusedError("forbidden", topic="here"))
    assert outlets.fault(HERE) == "closed"


async def test_a_shard_that_opens_again_asks_again() -> None:
    """The topic that was there may be what ended its transaction."""
    broker = Broker()
    await broker.outlets.learn(["here"])
    broker.outlets.forget()
    await broker.outlets.learn(["here"])

    assert broker.asked == ["here", "here"]


async def test_only_the_partition_that_takes_nothing_is_starved_and_it_is_asked_about_again() -> None:
    """A broker that is away leads some partitions of a topic; the others are written to."""
    broker = Broker()
    outlets, broker.starved = broker.outlets, frozenset({1})
    await outlets.learn(["here"])

    assert outlets.fault(HERE._replace(partition=0)) is None
    assert outlets.clear([HERE._replace(partition=0)])
    assert outlets.fault(HERE._replace(partition=1)) == "starved"
    assert not outlets.clear([HERE._replace(partition=1)])

    broker.starved = frozenset()
    await outlets.learn(["here"])
    assert outlets.fault(HERE._replace(partition=1)) == "starved"
    broker.later(SURE_S)
    await outlets.learn(["here"])
    assert outlets.clear([HERE._replace(partition=1)])


async def test_a_record_without_a_partition_is_starved_if_its_key_leads_there() -> None:
    """As the publisher will place it."""
    broker = Broker()
    broker.starved = frozenset({0, 1})
    await broker.outlets.learn(["here"])

    assert broker.outlets.fault(HERE) == "starved"


async def test_records_go_alone_only_for_a_while_after_a_batch_was_refused() -> None:
    """One at a time is slow; the culprit is known by then."""
    broker = Broker()
    broker.outlets.refuse(RecordRefusedError("too large", topic="here", records=3))

    assert broker.outlets.stands_apart("here")
    assert not broker.outlets.stands_apart("gone")
    broker.later(APART_S)
    assert not broker.outlets.stands_apart("here")


async def test_what_a_transaction_waits_for_is_found_by_asking_whatever_was_known() -> None:
    """The topic was there, and wanted nothing, when the transaction began."""
    broker = Broker()
    await broker.outlets.learn(["here"])
    assert await broker.outlets.trouble([HERE]) is None

    broker.starved = frozenset({0, 1})

    assert await broker.outlets.trouble([HERE]) == HERE


async def test_a_record_that_was_refused_for_itself_says_nothing_of_others() -> None:
    """One without a key, in a compacted topic: those of its size are innocent."""
    broker = Broker()
    await broker.outlets.learn(["here"])
    broker.outlets.refuse(RecordRefusedError("invalid", topic="here", size=HERE.size, record=HERE))
    other = HERE._replace(value=b"9876543210")

    assert (broker.outlets.fault(HERE), broker.outlets.fault(other)) == ("closed", None)
    assert (broker.outlets.clear([HERE]), broker.outlets.clear([other])) == (False, True)
    broker.later(REFUSED_S)
    assert broker.outlets.clear([HERE])
