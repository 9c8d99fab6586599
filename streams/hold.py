"""Waiting until a shard may start something again: one looks, for all that wait."""

from __future__ import annotations

import asyncio
from typing import Protocol

_LOOK_S = 0.05


class Held(Protocol):
    """What may be held back."""

    def held_back(self) -> bool:
        """Whether nothing may start now."""
        ...


class Hold:
    """Those that wait, thousands at a time, and the one of them that looks."""

    def __init__(self, owner: Held) -> None:
        self._owner = owner
        self._looks = False
        self._looked = asyncio.Event()

    async def over(self) -> None:
        """Wait while the owner is held back."""
        while self._owner.held_back():
            await (self._looked.wait() if self._looks else self._look())

    async def _look(self) -> None:
        self._looks = True
        self._looked.clear()
        try:
            while self._owner.held_back():  # noqa: ASYNC110 - three conditions, one of them time
                await asyncio.sleep(_LOOK_S)
        finally:  # cancelled, another of those that wait goes on looking
            self._looks = False
            self._looked.set()
