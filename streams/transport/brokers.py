"""The way to the brokers that one publisher speaks to: leaders, and coordinators that may move."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from schemas.records import Partition
from streams.transport import internals
from streams.transport.asking import until_answered
from streams.transport.codes import NOT_COORDINATOR, pass_by
from streams.transport.errors import BrokerError, OutcomeUnknownError, may_pass
from streams.transport.library import ConnectionGroup, CoordinationType, KafkaError, Theirs, TopicPartition, errors
from streams.transport.requests import Coded, features
from streams.transport.watermarks import partitions_of
from streams.transport.wire import Request, Said

FIRST_PAUSE_S: Final = 0.002
LONGEST_PAUSE_S: Final = 0.1
_CLOSE_S: Final = 3.0

_Coded = TypeVar("_Coded", bound=Coded)


class Coordinator(NamedTuple):
    """Whom to look for: who keeps the offsets of a group, or the transactions of an id."""

    kind: Theirs
    key: str


def of_group(group: str) -> Coordinator:
    """Who keeps its offsets."""
    return Coordinator(CoordinationType.GROUP, group)


def of_transactions(transactional_id: str) -> Coordinator:
    """Who keeps its transactions."""
    return Coordinator(CoordinationType.TRANSACTION, transactional_id)


class Settled(NamedTuple, Generic[_Coded]):
    """An answer that is final."""

    answer: _Coded
    asked: int
    """How often it had to be asked for."""


class Brokers:
    """Sends requests through aiokafka's *client*, which connects, authenticates and knows who leads what."""

    def __init__(self, client: Theirs) -> None:
        self.client = client
        self._nodes: dict[Coordinator, int] = {}
        self.connected = False
        """Whether the cluster is known."""

        self._closed = False

    async def connect(self) -> None:
        """Get to know the cluster, unless that has happened."""
        if not self.connected:
            await self.client.bootstrap()
            self.connected = True

    async def close(self) -> None:
        """Nothing is sent any more. What waits for an answer gets none."""
        self._closed = True
        await internals.close_client(self.client, _CLOSE_S)

    async def to_leader(self, node: int, request: Request[Said]) -> Said:
        """The answer of *node*, on the connection for records."""
        return await self.send(node, request, ConnectionGroup.DEFAULT)

    async def settled(self, whom: Coordinator, request: Request[_Coded], *, resend: bool) -> Settled[_Coded]:
        """The coordinator's answer once none of its codes may pass. The caller sets the deadline.

        OutcomeUnknownError if an answer is lost and the request may not be sent again (*resend*).
        """
        asked, waits = 1, pauses()
        while (answer := await self.once(whom, request, resend=resend)) is None:
            await asyncio.sleep(next(waits))
            asked += 1
        return Settled(answer, asked)

    async def once(self, whom: Coordinator, request: Request[_Coded], *, resend: bool = True) -> _Coded | None:
        """Like ``settled``, but None instead of asking again."""
        answer = await self._attempt(whom, request, resend=resend)
        said = NOT_COORDINATOR if answer is None else answer.codes
        if said & NOT_COORDINATOR:
            self._nodes.pop(whom, None)
        return None if pass_by(said) else answer

    async def _attempt(self, whom: Coordinator, request: Request[_Coded], *, resend: bool) -> _Coded | None:
        """One answer; None if it did not come and may come the next time."""
        try:
            node = self._nodes.get(whom)
            if node is None:
                node = self._nodes[whom] = await self.client.coordinator_lookup(whom.kind, whom.key)
        except KafkaError as error:
            if not may_pass(error):
                raise
            self.client.force_metadata_update()
            return None
        try:
            return await self.send(node, request, ConnectionGroup.COORDINATION)
        except errors.NodeNotReadyError:  # never left
            return None
        except KafkaError as error:
            if not may_pass(error):
                raise
            if not resend:
                raise OutcomeUnknownError(f"no answer to request {request.key}: {error!r}") from error
            return None

    async def send(self, node: int, request: Request[Said], group: Theirs) -> Said:
        """Everything that leaves, leaves here."""
        self._stay_closed()
        answer: Said = await self.client.send(node, request, group=group)
        return answer

    def _stay_closed(self) -> None:
        """A connection that is opened now would stay open."""
        if self._closed:
            raise BrokerError("this publisher has been closed")

    async def level(self, feature: str) -> int:
        """How far *feature* has been finalized in this cluster; 0 if it has not."""
        client = self.client
        levels = await until_answered(
            client, lambda: self.send(client.get_random_node(), features(), ConnectionGroup.DEFAULT)
        )
        return levels.get(feature, 0)

    def leader(self, place: Partition) -> int | None:
        """Who leads *place*; None if nobody does, as far as is known."""
        node: int | None = self.client.cluster.leader_for_partition(TopicPartition(*place))
        return None if node is None or node < 0 else node

    def look_again(self) -> None:
        """Ask who leads what, in the background."""
        self.client.force_metadata_update()

    async def partitions(self, topic: str, patience_s: float) -> int:
        """How many *topic* has. UnknownTopicError once nobody knows it for certain, or has told for *patience_s*."""
        cluster = self.client.cluster
        known: set[int] | None = cluster.partitions_for_topic(topic)
        if known is not None:
            return len(known)
        self._stay_closed()
        return len(await partitions_of(self.client, topic, patience_s))


def pauses() -> Iterator[float]:
    """How long to wait before each repetition, in seconds: most of what passes has passed in a moment."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(LONGEST_PAUSE_S, pause * 2)
