"""A model in a child process that answers each call after a second, and a minimal client for it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from ops.lab.bench.child import announced
from ops.lab.bench.samples import WORDS

LATENCY_S = 1.0
BODY = {"model": "scripted", "messages": [{"role": "user", "content": WORDS}]}


@dataclass(frozen=True, slots=True)
class SlowModel:
    """The slow model at its address."""

    base_url: str

    async def expect(self, calls: int, latency_s: float = LATENCY_S) -> None:
        """Make the model answer the next *calls* calls after *latency_s* seconds."""
        answer = {"text": "answer " * 20, "delay": latency_s, "times": calls}
        address = self.base_url.removesuffix("/v1")
        async with aiohttp.ClientSession() as http, http.post(f"{address}/script", json=answer) as said:
            said.raise_for_status()

    async def bare_s(self, calls: int) -> float:
        """Return the seconds that *calls* concurrent calls take, with aiohttp alone."""
        await self.expect(calls)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(calls):
                    group.create_task(self._ask(http))
            return time.perf_counter() - began

    async def _ask(self, http: aiohttp.ClientSession) -> None:
        async with http.post(f"{self.base_url}/chat/completions", json=BODY) as answer:
            await answer.json()


@asynccontextmanager
async def slow_model() -> AsyncGenerator[SlowModel]:
    """Run the model for the block."""
    async with announced("ops.embedded.scripted") as said:
        yield SlowModel(json.loads(said)["base_url"])
