"""Agents whose module needs a variable of its user."""

from __future__ import annotations

import os

from headrace import Run, agent

SHOP = os.environ["SHOP_URL"]  # noqa: TID251 - what a user's module may do


@agent("shop")
async def shop(text: str, run: Run) -> str:
    """Say where the shop is."""
    return f"{text} {SHOP}"
