"""The two agents that every worker has."""

from __future__ import annotations

import asyncio
import math

from consumers.agent.agents import Agent
from consumers.agent.run import Run
from schemas.errors import BY_CODE, HeadraceError, MalformedError

_DIGITS = 9
INSTRUCTIONS = "You are a helpful assistant. Answer briefly and to the point."


async def answer_the_same(text: str, run: Run) -> str:
    """Return the text itself, after the actions that the request's metadata ask for.

    ``sleep``: seconds to wait first. ``fail``: the code of the error to raise instead (schemas/errors.py).
    ``fail_times``: how many attempts of the run fail; without it, all do. An invalid value raises MalformedError.
    """
    if seconds := _seconds(run):
        await asyncio.sleep(seconds)
    error = _failure(run)
    if error is not None:
        raise error
    return text


def _seconds(run: Run) -> float:
    given = run.metadata.get("sleep", "0")
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise MalformedError("metadata.sleep is not a number of seconds")
    return seconds


def _failure(run: Run) -> HeadraceError | None:
    code = run.metadata.get("fail")
    if code is None or run.attempt > _times(run):
        return None
    if code not in BY_CODE:
        raise MalformedError("metadata.fail is not the code of an error")
    return BY_CODE[code]("asked for by metadata.fail")


def _times(run: Run) -> float:
    given = run.metadata.get("fail_times")
    if given is None:
        return math.inf
    if not (given.isascii() and given.isdigit() and len(given) <= _DIGITS):
        raise MalformedError("metadata.fail_times is not a number of attempts")
    return int(given)


assistant = Agent("assistant", instructions=INSTRUCTIONS, description="Answers with one call of the model.")
echo = Agent.from_callable(answer_the_same, name="echo", description="Answers its input, without a model.")

BUILTIN = (assistant, echo)
