"""Requests of one ``TransactionalProducer`` to partition leaders and to coordinators, which may move."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from schemas.records import Partition
from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import (
    ConnectionGroup,
    CoordinationType,
    KafkaError,
    TopicPartition,
    Untyped,
    errors,
)
from streams.transport.broker_retry import until_answered
from streams.transport.errors import BrokerError, OutcomeUnknownError, may_pass
from streams.transport.protocol.encoding import ApiRequest, Response
from streams.transport.protocol.error_codes import NOT_COORDINATOR, pass_by
from streams.transport.protocol.requests import Coded, features
from streams.transport.watermarks import partitions_of

FIRST_PAUSE_S: Final = 0.002
LONGEST_PAUSE_S: Final = 0.1
_CLOSE_S: Final = 3.0

_Coded = TypeVar("_Coded", bound=Coded)


class Coordinator(NamedTuple):
    """The lookup key of a coordinator: of a group's offsets or of a transactional id."""

    kind: Untyped
    key: str


def of_group(group: str) -> Coordinator:
    """Return the lookup key of the coordinator for a group's offsets."""
    return Coordinator(CoordinationType.GROUP, group)


def of_transactions(transactional_id: str) -> Coordinator:
    """Return the lookup key of the coordinator for a transactional id."""
    return Coordinator(CoordinationType.TRANSACTION, transactional_id)


class FinalAnswer(NamedTuple, Generic[_Coded]):
    """A final response, without transient error codes."""

    answer: _Coded
    asked: int
    """The number of attempts."""


class Brokers:
    """The sender of requests. aiokafka's *client* connects, authenticates and knows the partition leaders."""

    def __init__(self, client: Untyped) -> None:
        self.client = client
        self._nodes: dict[Coordinator, int] = {}
        self.connected = False
        """True once the cluster metadata is loaded."""

        self._closed = False

    async def connect(self) -> None:
        """Load the cluster metadata, unless it is loaded already."""
        if not self.connected:
            await self.client.bootstrap()
            self.connected = True

    async def close(self) -> None:
        """Close the connections. Pending requests get no response, and later ones fail."""
        self._closed = True
        await aiokafka_private.close_client(self.client, _CLOSE_S)

    def connection_to(self, place: Partition) -> Untyped:
        """Return the live connection to the leader of *place*, or None. Use it as an identity only."""
        node = self.leader(place)
        return None if node is None else aiokafka_private.connection_of(self.client, node, ConnectionGroup.DEFAULT)

    def is_live(self, node: int, connection: Untyped) -> bool:
        """Return True if *connection* is still the one to *node*."""
        return connection is aiokafka_private.connection_of(self.client, node, ConnectionGroup.DEFAULT)

    def know(self, topic: str) -> None:
        """Have the metadata of *topic* loaded with the next refresh."""
        self.client.add_topic(topic)

    async def connect_to(self, node: int) -> Untyped:
        """Return the connection for records to *node*; connect first if need be. None if that failed."""
        self._stay_closed()
        await self.client.ready(node, group=ConnectionGroup.DEFAULT)
        return aiokafka_private.connection_of(self.client, node, ConnectionGroup.DEFAULT)

    async def to_leader(self, node: int, request: ApiRequest[Response]) -> Response:
        """Return the response of *node*, over the connection for records."""
        return await self.send(node, request, ConnectionGroup.DEFAULT)

    async def fetch(self, node: int, request: Untyped) -> Untyped:
        """Return the response of *node* to a fetch request of aiokafka's."""
        self._stay_closed()
        return await self.client.send(node, request)

    async def settled(self, whom: Coordinator, request: ApiRequest[_Coded], *, resend: bool) -> FinalAnswer[_Coded]:
        """Return the coordinator's response; retry while its error codes are transient. The caller sets the deadline.

        Raises OutcomeUnknownError if a response is lost and *resend* is False.
        """
        asked, waits = 1, pauses()
        while (answer := await self.once(whom, request, resend=resend)) is None:
            await asyncio.sleep(next(waits))
            asked += 1
        return FinalAnswer(answer, asked)

    async def once(self, whom: Coordinator, request: ApiRequest[_Coded], *, resend: bool = True) -> _Coded | None:
        """Try once like ``settled``. Return None where ``settled`` would retry."""
        answer = await self._attempt(whom, request, resend=resend)
        said = NOT_COORDINATOR if answer is None else answer.codes
        if said & NOT_COORDINATOR:
            self._nodes.pop(whom, None)
        return None if pass_by(said) else answer

    async def _attempt(self, whom: Coordinator, request: ApiRequest[_Coded], *, resend: bool) -> _Coded | None:
        """Return one response, or None if it was lost and a retry is allowed."""
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
        except errors.NodeNotReadyError:  # the request was never sent
            return None
        except KafkaError as error:
            if not may_pass(error):
                raise
            if not resend:
                raise OutcomeUnknownError(f"no answer to request {request.key}: {error!r}") from error
            return None

    async def send(self, node: int, request: ApiRequest[Response], group: Untyped) -> Response:
        """Send *request* to *node*. All requests of this class pass here, so none is sent after ``close``."""
        self._stay_closed()
        answer: Response = await self.client.send(node, request, group=group)
        return answer

    def _stay_closed(self) -> None:
        """Raise BrokerError if closed: a connection opened now would never be closed."""
        if self._closed:
            raise BrokerError("this publisher has been closed")

    async def level(self, feature: str) -> int:
        """Return the finalized level of *feature* in this cluster; 0 if it is not finalized."""
        client = self.client
        levels = await until_answered(
            client, lambda: self.send(client.get_random_node(), features(), ConnectionGroup.DEFAULT)
        )
        return levels.get(feature, 0)

    def leader(self, place: Partition) -> int | None:
        """Return the leader's node id for *place*, or None if no leader is known."""
        node: int | None = self.client.cluster.leader_for_partition(TopicPartition(*place))
        return None if node is None or node < 0 else node

    def look_again(self) -> None:
        """Refresh the metadata in the background."""
        self.client.force_metadata_update()

    async def partitions(self, topic: str, patience_s: float) -> int:
        """Return the partition count of *topic*.

        Raises UnknownTopicError once brokers have denied the topic for a while, or after *patience_s* seconds.
        """
        cluster = self.client.cluster
        known: set[int] | None = cluster.partitions_for_topic(topic)
        if known is not None:
            return len(known)
        self._stay_closed()
        return len(await partitions_of(self.client, topic, patience_s))


def pauses() -> Iterator[float]:
    """Yield the pause before each retry, in seconds. It starts short because most transient errors end quickly."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(LONGEST_PAUSE_S, pause * 2)
