"""Open the stores of agents with tools or memory: the journal and the session memory, in Valkey."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from consumers.agent.journal.port import Journal
from consumers.agent.journal.valkey import ValkeyJournal, valkey_journal
from consumers.agent.memory.exchanges import ExchangeLimits
from consumers.agent.memory.port import SessionMemory
from consumers.agent.memory.session_valkey import ValkeySessionMemory
from consumers.agent.memory.valkey_calls import ValkeyCalls, memory_client
from consumers.agent.registry import AgentRegistry as Agents
from consumers.valkey.info import UnfitStoreError
from ops.errors import UsageError
from ops.settings import Settings
from schemas.clock import Clock
from schemas.errors import JournalUnavailableError

log = structlog.get_logger()


class AgentStores(NamedTuple):
    """The stores that agents use; None for agents that keep nothing."""

    journal: Journal | None = None
    memory: SessionMemory | None = None


@asynccontextmanager
async def agent_stores(settings: Settings, clock: Clock, agents: Agents) -> AsyncGenerator[AgentStores]:
    """Yield the stores that *agents* need. Raises UsageError if they need Valkey and the settings name none."""
    needy = [name for name in agents.names if agents[name].keeps_journal]
    if not needy:
        yield AgentStores()
        return
    if settings.valkey_url is None:
        raise UsageError(
            f"the agent {needy[0]} has tools, handoffs or memory, and its steps are kept in Valkey:"
            " set HEADRACE_VALKEY_URL"
        )
    url = settings.valkey_url.get_secret_value()
    async with (
        valkey_journal(url, clock, replicas=settings.valkey_replicas) as journal,
        memory_client(url) as client,
    ):
        await _check(journal)
        limits = ExchangeLimits(ttl_s=settings.session_ttl)
        yield AgentStores(journal, ValkeySessionMemory(ValkeyCalls(client), limits))


async def _check(journal: ValkeyJournal) -> None:
    """Raise UsageError for a store that may forget. One that does not answer yet is waited for by each run."""
    try:
        await journal.check()
    except UnfitStoreError as error:
        raise UsageError(f"HEADRACE_VALKEY_URL: {error}") from error
    except JournalUnavailableError as error:
        log.warning("journal_unavailable", detail=error.detail)
