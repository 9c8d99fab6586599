"""Consumer groups from outside: who is in one, what it has committed, and how a member that is dead is let go."""

from __future__ import annotations

from typing import NamedTuple, Self

from schemas.records import Partition
from streams.transport import internals
from streams.transport.asking import answered_within, until_answered
from streams.transport.connection import Connection
from streams.transport.library import (
    Client,
    ConnectionGroup,
    CoordinationType,
    DescribeGroupsRequest,
    LeaveGroupRequest,
    Theirs,
    errors,
)
from streams.transport.offsets import fetch_committed

_CLOSE_S = 2.0
_REQUEST_MS = 5_000


class Member(NamedTuple):
    """One member of a group."""

    id: str
    client: str
    """The name that it connects with."""

    host: str


class Groups:
    """Asks the coordinators of groups. Each call has the deadline given at ``open``."""

    def __init__(self, connection: Connection, *, name: str, deadline_s: float) -> None:
        self._connection, self._deadline_s = connection, deadline_s
        self._client: Theirs = Client(**connection.options(), client_id=name, request_timeout_ms=_REQUEST_MS)

    @classmethod
    async def open(cls, connection: Connection, *, name: str = "headrace-groups", deadline_s: float = 30.0) -> Groups:
        """Connected. KafkaUnreachableError after *deadline_s*."""
        groups = cls(connection, name=name, deadline_s=deadline_s)
        try:
            await connection.establish(groups._client.bootstrap, deadline_s)
        except BaseException:  # cancelled too: no socket stays open
            await groups.close()
            raise
        return groups

    async def close(self) -> None:
        """Close the connections."""
        await internals.close_client(self._client, _CLOSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def offsets(self, group: str) -> dict[Partition, tuple[int, str]]:
        """Every offset that *group* has committed, with its metadata."""
        found = await self._within(fetch_committed(self._client, group, None))
        return {partition: (offset, text or "") for partition, (offset, text) in found.items()}

    async def members(self, group: str) -> list[Member]:
        """Who is in *group*; nobody if there is no such group."""
        # One group a request: aiokafka reads the third version's answer by the schema of the second.
        answer = await self._within(self._asked(group, DescribeGroupsRequest([group])))
        return [Member(*member[:3]) for member in answer.groups[0][5]]

    async def expel(self, group: str, member: str) -> None:
        """Let *member* leave as if it had asked for it itself, so that what it owned is dealt again at once.

        Nothing happens if it is gone already.
        """
        await self._within(self._asked(group, LeaveGroupRequest(group, member)))

    async def _asked(self, group: str, request: Theirs) -> Theirs:
        """The coordinator's answer, asked for again while there is none, or it moves."""
        return await until_answered(self._client, lambda: self._ask(group, request))

    async def _ask(self, group: str, request: Theirs) -> Theirs:
        node = await self._client.coordinator_lookup(CoordinationType.GROUP, group)
        answer = await self._client.send(node, request, group=ConnectionGroup.COORDINATION)
        kind: type[Exception] = errors.for_code(_code_of(answer))
        if kind not in (errors.NoError, errors.UnknownMemberIdError):
            raise kind(group)
        return answer

    async def _within(self, work: Theirs) -> Theirs:
        async with answered_within(self._deadline_s, self._connection.bootstrap):
            return await work


def _code_of(answer: Theirs) -> int:
    """Of a LeaveGroup answer its own, of a DescribeGroups answer that of its group."""
    code: int = answer.groups[0][0] if hasattr(answer, "groups") else answer.error_code
    return code
