"""What a worker believes of the topics that it writes to."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from schemas.records import Partition, ProducerRecord
from streams.engine.topic_health import APART_S, BLOCKED_S, REFUSED_S, SURE_S, TopicHealth
from streams.transport.errors import KafkaUnreachableError, RecordRefusedError
from streams.transport.topic_state import TopicState
from tests.unit.streams.engine.shard_setup import StillClock

pytestmark = pytest.mark.anyio

HERE, GONE = ProducerRecord("here", b"k", b"0123456789"), ProducerRecord("gone", b"k", b"v")


class Broker:
    """Knows one topic of two partitions, and counts what it is asked."""

    def __init__(self) -> None:
        self.clock, self.asked, self.silent = StillClock(), list[str](), False
        self.starved = frozenset[int]()
        self.topic_health = TopicHealth(self.ask, self.clock)

    async def ask(self, topics: Collection[str]) -> dict[str, TopicState]:
        self.asked += topics
        if self.silent:
            raise KafkaUnreachableError("nowhere")
        return {topic: TopicState(2, self.starved) if topic == "here" else TopicState(0) for topic in topics}

    def later(self, seconds: float) -> None:
        self.clock.at_ms += int(seconds * 1_000) + 1


async def test_a_topic_is_missing_only_if_it_still_is_a_while_later() -> None:
    """Brokers hear of a new topic one after another; and nobody is asked in a storm."""
    broker = Broker()
    topic_health = broker.topic_health
    await topic_health.learn(["here", "gone"])
    await topic_health.learn(["here", "gone"])

    assert broker.asked == ["here", "gone"]
    assert topic_health.clear([HERE])
    assert not topic_health.clear([HERE, GONE])
    assert topic_health.fault(GONE) == "unsure"
    broker.later(SURE_S)
    await topic_health.learn(["here", "gone"])
    assert broker.asked == ["here", "gone", "gone"]
    assert topic_health.fault(GONE) == "closed"


async def test_a_partition_that_does_not_exist_is_closed() -> None:
    """Whatever the topic has beside it."""
    broker = Broker()
    await broker.topic_health.learn(["here"])

    assert broker.topic_health.fault(HERE._replace(partition=1)) is None
    assert broker.topic_health.fault(HERE._replace(partition=2)) == "closed"


async def test_what_nobody_answers_counts_as_there() -> None:
    """A broker that is down must not turn results into dead letters."""
    broker = Broker()
    broker.silent = True
    await broker.topic_health.learn(["gone"])

    assert broker.topic_health.clear([GONE])


async def test_a_refusal_is_believed_for_a_while_and_for_records_of_its_size() -> None:
    """Smaller ones may pass; later it is put to the test again, for a limit may have been raised."""
    broker = Broker()
    topic_health = broker.topic_health
    await topic_health.learn(["here"])
    topic_health.refuse(RecordRefusedError("too large", topic="here", records=3))
    assert (topic_health.stands_apart("here"), topic_health.fault(HERE)) == (True, None)

    topic_health.refuse(RecordRefusedError("too large", topic="here", size=HERE.size))

    assert not topic_health.clear([HERE])
    assert topic_health.fault(HERE) == "too_large"
    assert topic_health.fault(HERE._replace(value=b"012345678")) is None
    broker.later(REFUSED_S)
    assert topic_health.fault(HERE) is None
    topic_health.refuse(RecordRefusedError("forbidden", topic="here"))
    assert topic_health.fault(HERE) == "closed"


async def test_a_shard_that_opens_again_asks_again() -> None:
    """The topic that was there may be what ended its transaction."""
    broker = Broker()
    await broker.topic_health.learn(["here"])
    broker.topic_health.forget()
    await broker.topic_health.learn(["here"])

    assert broker.asked == ["here", "here"]


async def test_only_the_partition_that_takes_nothing_is_starved_and_it_is_asked_about_again() -> None:
    """A broker that is away leads some partitions of a topic; the others are written to."""
    broker = Broker()
    topic_health, broker.starved = broker.topic_health, frozenset({1})
    await topic_health.learn(["here"])

    assert topic_health.fault(HERE._replace(partition=0)) is None
    assert topic_health.clear([HERE._replace(partition=0)])
    assert topic_health.fault(HERE._replace(partition=1)) == "starved"
    assert not topic_health.clear([HERE._replace(partition=1)])

    broker.starved = frozenset()
    await topic_health.learn(["here"])
    assert topic_health.fault(HERE._replace(partition=1)) == "starved"
    broker.later(SURE_S)
    await topic_health.learn(["here"])
    assert topic_health.clear([HERE._replace(partition=1)])


async def test_a_record_without_a_partition_is_starved_if_its_key_leads_there() -> None:
    """As the publisher will place it."""
    broker = Broker()
    broker.starved = frozenset({0, 1})
    await broker.topic_health.learn(["here"])

    assert broker.topic_health.fault(HERE) == "starved"


async def test_records_go_alone_only_for_a_while_after_a_batch_was_refused() -> None:
    """One at a time is slow; the culprit is known by then."""
    broker = Broker()
    broker.topic_health.refuse(RecordRefusedError("too large", topic="here", records=3))

    assert broker.topic_health.stands_apart("here")
    assert not broker.topic_health.stands_apart("gone")
    broker.later(APART_S)
    assert not broker.topic_health.stands_apart("here")


async def test_what_a_transaction_waits_for_is_found_by_asking_whatever_was_known() -> None:
    """The topic was there, and wanted nothing, when the transaction began."""
    broker = Broker()
    await broker.topic_health.learn(["here"])
    assert await broker.topic_health.trouble([HERE]) is None

    broker.starved = frozenset({0, 1})

    assert await broker.topic_health.trouble([HERE]) == HERE


async def test_a_record_that_was_refused_for_itself_says_nothing_of_others() -> None:
    """One without a key, in a compacted topic: those of its size are innocent."""
    broker = Broker()
    await broker.topic_health.learn(["here"])
    broker.topic_health.refuse(RecordRefusedError("invalid", topic="here", size=HERE.size, record=HERE))
    other = HERE._replace(value=b"9876543210")

    assert (broker.topic_health.fault(HERE), broker.topic_health.fault(other)) == ("closed", None)
    assert (broker.topic_health.clear([HERE]), broker.topic_health.clear([other])) == (False, True)
    broker.later(REFUSED_S)
    assert broker.topic_health.clear([HERE])


async def test_a_blocked_partition_is_starved_for_a_while_and_its_topic_is_not() -> None:
    """Its open transaction must end before the next write; a reopening does not end it."""
    broker = Broker()
    await broker.topic_health.learn(["here"])
    one, other = (ProducerRecord("here", b"k", b"v", partition=number) for number in (0, 1))
    broker.topic_health.block(Partition("here", 1))
    broker.topic_health.forget()
    await broker.topic_health.learn(["here"])

    assert broker.topic_health.clear([one])
    assert not broker.topic_health.clear([one, other])
    assert broker.topic_health.fault(other) == "starved"
    broker.later(BLOCKED_S)
    assert broker.topic_health.clear([one, other])
