"""Containment of users' code: any exception of it ends its run or its call with a typed error, never the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from consumers.resilience.cancel_count import cancel_count
from schemas.errors import HeadraceError, InternalError, chain_of, resolve_error

T = TypeVar("T")


async def contained(named: str, work: Awaitable[T]) -> T:
    """Return the result of *work*. A cancel of the task passes; a CancelledError that the work made is its error.

    Raises a HeadraceError or an exception that wraps one as it is; InternalError for any other, exits included.
    """
    before = cancel_count()
    try:
        return await work
    except GeneratorExit:
        raise
    except asyncio.CancelledError as error:
        if cancel_count() > before:
            raise
        raise _internal(named, error) from error
    except BaseException as error:  # an exit or a native library's panic would end the event loop
        if not any(isinstance(each, HeadraceError) for each in chain_of(error)):
            raise _internal(named, error) from error
        if isinstance(error, Exception):
            raise  # its class, or that of the error it wraps, decides
        raise resolve_error(error) from error


def _internal(named: str, error: BaseException) -> InternalError:
    return InternalError(f"{named} raised {type(error).__name__}", detail=repr(error))
