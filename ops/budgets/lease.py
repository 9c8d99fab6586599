"""The lease of an account in Valkey: one worker at a time reads the ledger for it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog
from redis.exceptions import ResponseError

from consumers.valkey.errors import ValkeyCallError
from consumers.valkey.link import Argument, ValkeyLink
from consumers.valkey.lua import LuaScript, evaluate, lua_script
from ops.background import background
from schemas.errors import BudgetUnavailableError
from schemas.keys import budget_key

HELD_S = 10.0
"""Seconds after which a worker that was killed loses its leases."""

TAKE = lua_script("""
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")
RELEASE = lua_script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
""")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AccountLease:
    """The leases of one worker. A lease saves work only: the store accepts one load of an account in any case."""

    link: ValkeyLink
    worker: str = field(default_factory=lambda: secrets.token_hex(8))

    async def take(self, account: str) -> bool:
        """Take or prolong the lease. Return False if another worker has it. Raises BudgetUnavailableError."""
        return await self._run(TAKE, account, self.worker, int(HELD_S * 1_000))

    @asynccontextmanager
    async def kept(self, accounts: Collection[str]) -> AsyncGenerator[None]:
        """Prolong the leases during the block, and end them with it."""
        try:
            async with background(self._keep(accounts)):
                yield
        finally:
            await self._release(accounts)

    async def _keep(self, accounts: Collection[str]) -> None:
        while True:
            await asyncio.sleep(HELD_S / 3)
            for account in accounts:
                with suppress(BudgetUnavailableError):  # the next call of the store fails as well, and says so
                    await self.take(account)

    async def _release(self, accounts: Collection[str]) -> None:
        try:
            for account in accounts:
                await self._run(RELEASE, account, self.worker)
        except BudgetUnavailableError as error:
            log.warning("lease_not_released", detail=error.detail)

    async def _run(self, script: LuaScript, account: str, *arguments: Argument) -> bool:
        try:
            reply = await evaluate(self.link, script, [budget_key(account, "loader")], *arguments)
        except ValkeyCallError as error:
            raise BudgetUnavailableError(detail=error.detail) from error
        if isinstance(reply, ResponseError):
            raise BudgetUnavailableError(detail=f"{type(reply).__name__}: {reply}"[:500])
        return bool(reply)
