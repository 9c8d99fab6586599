"""Expel a dead worker from its group, which would otherwise wait a whole session for it."""

from __future__ import annotations

import asyncio

import structlog

from ops import registry_writer
from ops.connection import connection_of
from ops.names import client_name
from ops.settings import Settings
from streams.journey import group_of
from streams.transport.errors import TransportError
from streams.transport.groups import Groups

NAME = "headrace-expel-member"
PATIENCE_S = 5.0
"""Seconds to try: less than the session timeout, after which the group notices the death itself."""

log = structlog.get_logger()


async def expel_dead_worker(settings: Settings, stage: str, pid: int) -> None:
    """Expel this host's process *pid* from the group of *stage*, so that others take over its shards now.

    Call it only for a process that is known to have ended. If Kafka cannot be reached, that is logged, and the session
    timeout expels the worker.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _expelled(settings, stage, pid)
    except (TransportError, TimeoutError) as error:
        log.warning("dead_member_not_expelled", stage=stage, pid=pid, error=str(error))


async def _expelled(settings: Settings, stage: str, pid: int) -> None:
    connection, name = connection_of(settings), client_name(stage, pid)
    layout = (await registry_writer.load(connection)).layout
    if layout is None:
        return
    group = group_of(stage, layout.version)
    async with await Groups.open(connection, name=NAME, deadline_s=PATIENCE_S) as groups:
        for member in await groups.members(group):
            if member.client == name:
                await groups.expel(group, member.id)
                log.info("dead_member_expelled", group=group, member=member.id)
