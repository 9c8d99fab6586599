"""The reservation of one model call: stated before the call is sent, and settled by what it has cost."""

from __future__ import annotations

from typing import Protocol

from consumers.agent.models.port import ModelRequest, usage_of
from consumers.agent.seams import Reservation
from schemas.errors import ModelError, ModelUnreadableError


class Reserve(Protocol):
    """Reserves one call of a model, in the scope of a run."""

    async def __call__(self, request: ModelRequest, model: str, *, call: str) -> Reservation:
        """Return the reservation. Raises as ``ModelBudget`` does."""
        ...


async def send(reserved: Reservation) -> None:
    """State that the call is sent. Release the reservation if that fails, or if the run is cancelled meanwhile."""
    stated = False
    try:
        await reserved.called()
        stated = True
    finally:
        if not stated:
            await reserved.settle(None)


async def settle_failed(reserved: Reservation, error: ModelError) -> None:
    """Settle a call without a usable answer, if its usage is known.

    After a timeout or a broken connection the provider may charge any amount up to the maximum, which is then charged.
    """
    if error.uncharged:
        await reserved.settle(None)
    elif isinstance(error, ModelUnreadableError) and (error.input_tokens or error.output_tokens):
        await reserved.settle(usage_of(error))
