"""One step of a stage, kept from outliving its request and from ending in a way that nobody would answer."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from consumers.context import Context
from consumers.resilience.cancellation import cancellations
from consumers.resilience.deadline import Deadline
from consumers.resilience.lazy import within
from schemas.errors import InternalError
from streams.journey import Stage


async def take_step(stage: Stage[Any, Any], value: BaseModel, context: Context, deadline_ms: int) -> BaseModel:
    """What the stage's step makes of *value*. ExpiredError at *deadline_ms*, since the epoch; else what it raises.

    A step that lets a cancellation of its own making escape would end the job without an outcome: InternalError.
    """
    before = cancellations()
    try:
        made: BaseModel = await within(Deadline(deadline_ms, context.clock).enforced, stage.run(value, context))
    except asyncio.CancelledError as error:
        if cancellations() > before:
            raise
        raise InternalError(detail="the step was cancelled from within") from error
    return made
