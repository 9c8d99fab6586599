"""One step of a stage: ends at the request's deadline, and always with an outcome that can be answered."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from consumers.context import StepContext
from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.deadline import Deadline
from consumers.resilience.timeouts import lazy_timeout
from schemas.errors import HeadraceError, InternalError, resolve_error
from streams.journey import Stage


async def run_step(stage: Stage[Any, Any], value: BaseModel, context: StepContext, deadline_ms: int) -> BaseModel:
    """Run the stage's step on *value*. Raise ExpiredError at *deadline_ms* (since the epoch), else the step's error.

    A cancellation that the step itself caused would end the job without an outcome. It becomes an InternalError.
    """
    before = cancel_count()
    try:
        made: BaseModel = await lazy_timeout(Deadline(deadline_ms, context.clock).enforced, stage.run(value, context))
    except asyncio.CancelledError as error:
        if cancel_count() > before:
            raise
        raise _of_step(InternalError(detail="the step was cancelled from within")) from error
    except Exception as raised:
        resolved = _of_step(resolve_error(raised))
        if resolved.__cause__ is not raised:
            raise
        raise resolved from raised  # an unknown error got its class only now
    return made


def _of_step(error: HeadraceError) -> HeadraceError:
    """Return the error of a step, which counts against the tenant whose content the step had."""
    error.platform_fault = False
    return error
