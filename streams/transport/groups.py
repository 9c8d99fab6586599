"""The admin client of consumer groups: members, committed offsets, and the removal of a dead member."""

from __future__ import annotations

from typing import NamedTuple, Self

from schemas.records import Partition
from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import (
    Client,
    ConnectionGroup,
    CoordinationType,
    DescribeGroupsRequest,
    LeaveGroupRequest,
    Untyped,
    errors,
)
from streams.transport.broker_retry import answered_within, until_answered
from streams.transport.connection import Connection
from streams.transport.offsets import fetch_committed

_CLOSE_S = 2.0
_REQUEST_MS = 5_000


class Member(NamedTuple):
    """One member of a group."""

    id: str
    client: str
    """The member's client id."""

    host: str


class Groups:
    """The client of group coordinators. Each call has the deadline given to ``open``."""

    def __init__(self, connection: Connection, *, name: str, deadline_s: float) -> None:
        self._connection, self._deadline_s = connection, deadline_s
        self._client: Untyped = Client(**connection.options(), client_id=name, request_timeout_ms=_REQUEST_MS)

    @classmethod
    async def open(cls, connection: Connection, *, name: str = "headrace-groups", deadline_s: float = 30.0) -> Groups:
        """Return a connected client. Raises KafkaUnreachableError after *deadline_s* seconds."""
        groups = cls(connection, name=name, deadline_s=deadline_s)
        try:
            await connection.establish(groups._client.bootstrap, deadline_s)
        except BaseException:  # also if cancelled: no socket may stay open
            await groups.close()
            raise
        return groups

    async def close(self) -> None:
        """Close the connections."""
        await aiokafka_private.close_client(self._client, _CLOSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def offsets(self, group: str) -> dict[Partition, tuple[int, str]]:
        """Return every committed offset of *group* with its metadata."""
        found = await self._within(fetch_committed(self._client, group, None))
        return {partition: (offset, text or "") for partition, (offset, text) in found.items()}

    async def members(self, group: str) -> list[Member]:
        """Return the members of *group*; an empty list if the group does not exist."""
        # One group per request: aiokafka decodes the version 3 response with the version 2 schema.
        answer = await self._within(self._asked(group, DescribeGroupsRequest([group])))
        return [Member(*member[:3]) for member in answer.groups[0][5]]

    async def expel(self, group: str, member: str) -> None:
        """Remove *member* as if it had left itself, so that its shards are reassigned at once.

        Does nothing if the member is gone already.
        """
        await self._within(self._asked(group, LeaveGroupRequest(group, member)))

    async def _asked(self, group: str, request: Untyped) -> Untyped:
        """Return the coordinator's response. Retry while the coordinator is missing or moves."""
        return await until_answered(self._client, lambda: self._ask(group, request))

    async def _ask(self, group: str, request: Untyped) -> Untyped:
        node = await self._client.coordinator_lookup(CoordinationType.GROUP, group)
        answer = await self._client.send(node, request, group=ConnectionGroup.COORDINATION)
        kind: type[Exception] = errors.for_code(_code_of(answer))
        if kind not in (errors.NoError, errors.UnknownMemberIdError):
            raise kind(group)
        return answer

    async def _within(self, work: Untyped) -> Untyped:
        async with answered_within(self._deadline_s, self._connection.bootstrap):
            return await work


def _code_of(answer: Untyped) -> int:
    """Return the error code: of a LeaveGroup response its own, of a DescribeGroups response its group's."""
    code: int = answer.groups[0][0] if hasattr(answer, "groups") else answer.error_code
    return code
