"""Pause jobs until their shard may start work again. One waiting task polls for all of them."""

from __future__ import annotations

import asyncio
from typing import Protocol

_LOOK_S = 0.05


class Held(Protocol):
    """The owner of the jobs that may be held back."""

    def held_back(self) -> bool:
        """Return True if nothing may start now."""
        ...


class Hold:
    """The pause shared by waiting tasks, thousands at a time. One of them polls the owner."""

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
        finally:  # if it is cancelled, another waiting task polls
            self._looks = False
            self._looked.set()
